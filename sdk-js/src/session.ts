import { goodbyeMs, loadMs, pollSlackMs } from './bounds.js'
import { call, type Call, type Fetch } from './call.js'
import { ReverseHttpError } from './error.js'
import { Pause } from './pause.js'
import type { Heard } from './stream.js'
import type { Batch, ClaimAnswer, ClaimRequest, Discovery } from './envelope.js'

/** Where the module was loaded: what makes polls streams. */
type Streams = typeof import('./stream.js')

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
    throw new ReverseHttpError('unexpected', `${href}: no gateway of version 1`)
  }
  const { claims, transports } = found
  const pause = new Pause()
  let streams: Streams | undefined
  let loading = transports.includes('ndjson')
  if (loading) {
    // Where it cannot be loaded (a policy, a bundler), polls are for batches.
    void import('./stream.js')
      .then((m) => (streams = m))
      .catch(() => {})
      .then(() => {
        loading = false
        pause.end()
      })
  }
  return async (wish, signal) => {
    const claimed = await call<ClaimAnswer>(fetch, claims, {
      method: 'POST',
      bearer: key,
      json: JSON.stringify(wish),
      signal,
    })
    if (!claimed?.limits) {
      throw new ReverseHttpError('unexpected', `${claims}: no claim`)
    }
    if (loading) await pause.wait(loadMs)
    return new Session(fetch, claimed, () => streams)
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
  readonly #streams: () => Streams | undefined

  constructor(fetch: Fetch, claimed: ClaimAnswer, streams: () => Streams | undefined) {
    this.#fetch = fetch
    this.#streams = streams
    this.claimed = claimed
    this.cursor = claimed.cursor
  }

  /** What is loaded for streams by now. */
  get streams(): Streams | undefined {
    return this.#streams()
  }

  /**
   * Asks for what comes after the cursor; undefined when nothing came. What comes on a stream is
   * told while it comes, not given.
   */
  poll(waitSeconds: number, signal: AbortSignal, heard: Heard): Promise<Batch | undefined> {
    return this.streams?.follow(this, waitSeconds, signal, heard) ?? this.batch(waitSeconds, signal)
  }

  /** Asks for what comes after the cursor, as a batch. */
  batch(waitSeconds: number, signal: AbortSignal): Promise<Batch | undefined> {
    return this.call('GET', this.claimed.requests, {
      headers: { Prefer: `wait=${waitSeconds}`, 'Last-Event-ID': this.cursor },
      signal,
      waitMs: waitSeconds * 1000 + pollSlackMs,
    })
  }

  /** Says that this program stops serving. With keepalive it is said even while the page goes away. */
  async end(keepalive = false): Promise<void> {
    this.ended = this.lost = true
    await this.call('DELETE', this.claimed.session, {
      headers: { 'Last-Event-ID': this.cursor },
      init: { keepalive },
      waitMs: goodbyeMs,
    })
  }

  /** Sends a request with the token. */
  call<T>(method: Call['method'], url: string, of: Partial<Call> = {}): Promise<T | undefined> {
    return call<T>(this.#fetch, url, { method, bearer: this.claimed.token, ...of })
  }
}
