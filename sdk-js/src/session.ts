import { call, type Call, type Fetch } from './call.js'
import { ReverseHttpError } from './error.js'
import type { Batch, ClaimAnswer, ClaimRequest, Discovery, Results } from './envelope.js'

// Longer than the gateway waits, so that only a dead connection is noticed.
const slackMs = 5_000
const goodbyeMs = 5_000

/** Makes a claim, or takes it back; either way with a new session. */
export type Claiming = (wish: ClaimRequest, signal?: AbortSignal) => Promise<Session>

/** Asks the gateway of this origin where claims are made. */
export async function discover(
  fetch: Fetch,
  origin: string | URL,
  key?: string,
  signal?: AbortSignal,
): Promise<Claiming> {
  const { href } = new URL('/.well-known/reversehttp', origin)
  const found = await call<Discovery>(fetch, href, { method: 'GET', signal })
  if (found?.version !== 1) {
    throw new ReverseHttpError('unexpected', `${href} is no gateway of version 1`)
  }
  const { claims } = found
  return async (wish, signal) => {
    const json = JSON.stringify(wish)
    const claimed = await call<ClaimAnswer>(fetch, claims, {
      method: 'POST',
      bearer: key,
      json,
      signal,
    })
    if (!claimed?.limits) {
      throw new ReverseHttpError('unexpected', `POST ${claims}: no claim`)
    }
    return new Session(fetch, claimed)
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
    const { requests } = this.claimed
    const batch = await this.#call<Batch>('GET', requests, {
      headers: { Prefer: `wait=${waitSeconds}`, 'Last-Event-ID': this.cursor },
      signal,
      waitMs: waitSeconds * 1000 + slackMs,
    })
    if (batch && !Array.isArray(batch.messages)) {
      throw new ReverseHttpError('unexpected', `GET ${requests}: no batch`)
    }
    return batch
  }

  /** Posts answers, a JSON text of them. */
  respond(json: string, signal: AbortSignal): Promise<Results | undefined> {
    return this.#call('POST', this.claimed.responses, { json, signal })
  }

  /** Asks for the content of a request. */
  async content(
    url: string,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    return (await this.#call('GET', url, { signal, streams: true, waitMs }))!
  }

  /** Says that this program stops serving. With keepalive it is said even while the page goes away. */
  async end(keepalive = false): Promise<void> {
    this.ended = this.lost = true
    await this.#call('DELETE', this.claimed.session, {
      headers: { 'Last-Event-ID': this.cursor },
      keepalive,
      waitMs: goodbyeMs,
    })
  }

  /** Ends the claim itself, with all its sessions. */
  async deleteClaim(): Promise<void> {
    await this.#call('DELETE', this.claimed.claim)
  }

  #call<T>(method: Call['method'], url: string, of: Partial<Call> = {}): Promise<T | undefined> {
    return call<T>(this.#fetch, url, { method, bearer: this.claimed.token, ...of })
  }
}
