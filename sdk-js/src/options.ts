import type { Fetch } from './call.js'
import type { Policy, Redeliver } from './envelope.js'
import type { AddressSpace } from './local-network.js'
import type { LinkSocketConstructor } from './session.js'
import type { OwnershipStorage } from './storage.js'

/**
 * Options of `serve`. All are optional; undefined means absent. The sections named are those of the protocol,
 * schema/README.md.
 */
export interface ServeOptions {
  /**
   * The origin of the gateway's control API. Absent: the origin of the page; outside of a page `serve` rejects
   * with a TypeError.
   */
  gateway?: string | URL | undefined
  /**
   * The DNS label to claim (section 1). Absent: the one that this page had before a reload, or one that the
   * gateway picks. Errors: `label_taken`, `label_reserved`, `bad_label`.
   */
  label?: string | undefined
  /**
   * The secret that owns the claim, 16 to 256 characters, or fewer if the gateway is on this machine (section
   * 3). Absent: the one that this page had before a reload, or one that the gateway mints. Errors: `bad_token`.
   */
  token?: string | undefined
  /**
   * The key for a gateway that requires one to claim (section 3). Absent: none is sent. Errors: `key_needed`,
   * `key_wrong`.
   */
  key?: string | undefined
  /**
   * How long the claim lives while nobody polls, in whole seconds from 1 to 86400 (section 3). Absent: the
   * gateway's, 60 by default. Errors: `bad_lease`.
   */
  lease?: number | undefined
  /**
   * How long a visitor waits for an answer, in milliseconds (section 3). Absent: the gateway's, 60000 by
   * default. Errors: `bad_member`; visitors who waited in vain get `handler_timeout`.
   */
  timeoutMs?: number | undefined
  /**
   * Which requests may be delivered again after a session is lost (section 7). Absent: `idempotent`. Errors:
   * `bad_member`.
   */
  redeliver?: Redeliver | undefined
  /**
   * Whether the gateway records exchanges for the owner to look at (section 13). Absent: no, or what the claim
   * already has.
   */
  inspect?: boolean | undefined
  /**
   * What the gateway enforces before a request reaches the handler (section 14). Absent: nothing, or what the
   * claim already has; `{}` removes it. Errors: `bad_member`.
   */
  policy?: Policy | undefined
  /**
   * A domain of yours that should lead to the claim, such as `hooks.example.org` (section 3). Absent: none, or
   * what the claim already has; empty removes it. Errors: `bad_member`.
   */
  domain?: string | undefined
  /** How many handlers run at a time; more requests wait. Absent: 64. */
  concurrency?: number | undefined
  /**
   * How long `close` lets running handlers answer, in milliseconds. Absent: 5000. More than 10000 has no
   * effect: by then the gateway gives up a silent session (section 4).
   */
  drainMs?: number | undefined
  /**
   * Aborting it closes the claim; before there is a claim, `serve` rejects with its reason. Absent: only
   * `close` closes it.
   */
  signal?: AbortSignal | undefined
  /**
   * The `fetch` that reaches the gateway. Absent: the global one. With it there is no link, unless
   * `WebSocket` is given too. What it throws becomes an error with the code `network`.
   */
  fetch?: Fetch | undefined
  /**
   * Where the gateway is, in the terms of `fetch` (Local Network Access): `loopback` is this machine, `local`
   * its network. Absent: what the host of `gateway` shows, if it is an address, `localhost` or a name in
   * `.local`. Errors: `permission_needed`, `permission_denied`.
   */
  targetAddressSpace?: AddressSpace | undefined
  /**
   * Opens the link to the gateway, like the platform's `WebSocket` (section 4). Absent: that one, unless
   * `fetch` is given, which it would bypass. Null, or where there is none: no link; polls use streams or
   * batches.
   */
  WebSocket?: LinkSocketConstructor | null | undefined
  /**
   * Whether a tab waits while another one of its origin serves the claim. Absent: true. False: both serve.
   */
  standby?: boolean | undefined
  /** Receives errors that no `error` listener takes. Absent: `console`; null: none. */
  logger?: Pick<Console, 'error'> | null | undefined
  /**
   * Where label and token survive a reload. Absent: sessionStorage, if there is one; null: nowhere. If it
   * throws, nothing is remembered.
   */
  storage?: OwnershipStorage | null | undefined
}
