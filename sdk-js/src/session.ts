import { call, type Fetch } from './call.js'
import { ReverseHttpError } from './error.js'
import type { Batch, ClaimAnswer, ClaimRequest, Discovery, Results } from './envelope.js'

// Longer than the gateway waits, so that only a dead connection is noticed.
const slackMs = 5_000
const goodbyeMs = 5_000

/** A gateway, found by its discovery document. */
export class Gateway {
  readonly #fetch: Fetch
  readonly #key: string | undefined
  readonly #claims: string

  constructor(fetch: Fetch, key: string | undefined, claims: string) {
    this.#fetch = fetch
    this.#key = key
    this.#claims = claims
  }

  /** Asks the gateway of this origin where claims are made. */
  static async discover(
    fetch: Fetch,
    origin: string | URL,
    key?: string,
    signal?: AbortSignal,
  ): Promise<Gateway> {
    const { href } = new URL('/.well-known/reversehttp', origin)
    const found = await call<Discovery>(fetch, href, { method: 'GET', signal })
    if (found?.version !== 1) {
      throw new ReverseHttpError('unexpected', `${href} does not speak version 1 of ReverseHttp`)
    }
    return new Gateway(fetch, key, found.claims)
  }

  /** Makes a claim, or takes it back; either way with a new session. */
  async claim(wish: ClaimRequest, signal?: AbortSignal): Promise<Session> {
    const claimed = await call<ClaimAnswer>(this.#fetch, this.#claims, {
      method: 'POST',
      bearer: this.#key,
      json: JSON.stringify(wish),
      signal,
    })
    if (!claimed?.limits) {
      throw new ReverseHttpError('unexpected', `POST ${this.#claims}: the answer is no claim`)
    }
    return new Session(this.#fetch, claimed)
  }
}

/** One session of a claim, with the requests that a program may send for it. */
export class Session {
  readonly claimed: ClaimAnswer
  /** What this program has begun, it and all before it. */
  cursor: string
  /** No poll of it will bring anything any more; another session is needed. */
  ended = false
  /** It takes no answers any more either. */
  lost = false
  readonly #fetch: Fetch

  constructor(fetch: Fetch, claimed: ClaimAnswer) {
    this.#fetch = fetch
    this.claimed = claimed
    this.cursor = claimed.cursor
  }

  /** Asks for what comes after the cursor; undefined when nothing came within the wait. */
  async poll(waitSeconds: number, signal: AbortSignal): Promise<Batch | undefined> {
    const batch = await call<Batch>(this.#fetch, this.claimed.requests, {
      method: 'GET',
      bearer: this.claimed.token,
      headers: { Prefer: `wait=${waitSeconds}`, 'Last-Event-ID': this.cursor },
      signal,
      waitMs: waitSeconds * 1000 + slackMs,
    })
    if (batch && !Array.isArray(batch.messages)) {
      throw new ReverseHttpError(
        'unexpected',
        `GET ${this.claimed.requests}: the answer is no batch`,
      )
    }
    return batch
  }

  /** Posts answers, a JSON text of them. */
  respond(json: string, signal: AbortSignal): Promise<Results | undefined> {
    const { responses, token } = this.claimed
    return call<Results>(this.#fetch, responses, { method: 'POST', bearer: token, json, signal })
  }

  /** Says that this program stops serving. With keepalive it is said even while the page goes away. */
  async end(keepalive = false): Promise<void> {
    this.ended = this.lost = true
    await call(this.#fetch, this.claimed.session, {
      method: 'DELETE',
      bearer: this.claimed.token,
      headers: { 'Last-Event-ID': this.cursor },
      keepalive,
      waitMs: goodbyeMs,
    })
  }

  /** Ends the claim itself, with all its sessions. */
  async deleteClaim(): Promise<void> {
    await call(this.#fetch, this.claimed.claim, { method: 'DELETE', bearer: this.claimed.token })
  }
}
