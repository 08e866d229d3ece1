import type { Fetch } from './call.js'
import type { Policy, Redeliver } from './envelope.js'
import type { AddressSpace } from './local-network.js'
import type { LinkSocketConstructor } from './session.js'
import type { OwnershipStorage } from './storage.js'

/** Options of `serve`. Each may be absent. */
export interface ServeOptions {
  /** The origin of the gateway's control API. Absent: the origin of the page; outside of a page it is required. */
  gateway?: string | URL | undefined
  /**
   * The DNS label wanted. Absent: the one that this page had before a reload, or one that the gateway picks.
   */
  label?: string | undefined
  /** The key for a gateway that requires one to claim. */
  token?: string | undefined
  /** The key of a gateway that lets only its holders claim. */
  key?: string | undefined
  /** How long the claim lives while nobody polls, in seconds. Absent: the gateway's 60. */
  lease?: number | undefined
  /** How long a visitor waits for an answer, in milliseconds. Absent: the gateway's 60000. */
  timeoutMs?: number | undefined
  /** Which requests may be delivered again after a lost session. Absent: idempotent ones. */
  redeliver?: Redeliver | undefined
  /** Whether the gateway records exchanges for the owner to look at. Absent: no, or unchanged. */
  inspect?: boolean | undefined
  /** What the gateway enforces before a request reaches the handler. Absent: nothing, or unchanged; `{}` ends it. */
  policy?: Policy | undefined
  /**
   * A domain of yours that should lead to the claim, such as `hooks.example.org`; empty removes it. Absent:
   * none, or unchanged.
   */
  domain?: string | undefined
  /** How many handlers run at a time; more requests wait. Absent: 64. */
  concurrency?: number | undefined
  /** How long `close` lets running handlers answer, in milliseconds. Absent: 5000. */
  drainMs?: number | undefined
  /** Aborting it closes the claim; before there is a claim, `serve` rejects with its reason. */
  signal?: AbortSignal | undefined
  /**
   * The `fetch` that reaches the gateway. Absent: the global one. With it there is no link, unless
   * `WebSocket` is given too.
   */
  fetch?: Fetch | undefined
  /**
   * Where the gateway is, in the terms of `fetch`: `loopback` is this machine, `local` its network. Absent:
   * what the host of `gateway` shows, if it is an address, `localhost` or a name in `.local`.
   */
  targetAddressSpace?: AddressSpace | undefined
  /**
   * Opens the link to the gateway, like the platform's `WebSocket`. Absent: that one, unless `fetch` is
   * given, which it would bypass. Null, or where there is none: no link; polls use streams or batches.
   */
  WebSocket?: LinkSocketConstructor | null | undefined
  /**
   * Whether a tab waits while another one of its origin serves the claim. Absent: true. False: both serve.
   */
  standby?: boolean | undefined
  /** Receives errors that no `error` listener takes. Absent: `console`; null: none. */
  logger?: Pick<Console, 'error'> | null | undefined
  /** Where label and token survive a reload. Absent: sessionStorage, if there is one; null: nowhere. */
  storage?: OwnershipStorage | null | undefined
}
