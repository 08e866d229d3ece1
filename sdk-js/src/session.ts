import { goodbyeMs, pollSlackMs } from './bounds.js'
import { call, type Call, type Fetch } from './call.js'
import type { Parts, Way } from './parts.js'
import type { Batch, Cancel, ClaimAnswer, Request } from './envelope.js'

/** Takes each line of a stream: its message, or nothing with a heartbeat. What it returns is waited for. */
export type Heard = (message?: Request | Cancel) => Promise<void> | undefined

/** An answer whose content is to be sent. */
export interface Sending {
  session: Session
  request: Request
  signal: AbortSignal
  /** The way that there always is: a message for each piece, the head with the first. */
  part: Way<Uint8Array>
  report(code: string, request: Request, cause: unknown): void
}

/** What stream.ts does for a session, where that was loaded. */
export interface Streams {
  /** Polls once, for a stream where there was one or it may be tried. Returns what Session.batch does; what a stream brought is in no batch. */
  listen(
    session: Session,
    waitSeconds: number,
    signal: AbortSignal,
    heard: Heard,
  ): Promise<Batch | undefined>
  /** Takes the content of a Response where it is much and its size is known. */
  knownContent(response: Response, signal: AbortSignal): Promise<Parts | undefined>
  /** Sends the content of an answer raw where that is worth it and can be, else by the way of parts. */
  raw(of: Sending): Way
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
  /** How many of its requests last as long as their visitors like; each holds a connection. */
  lasting = 0
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
    return this.streams?.listen(this, waitSeconds, signal, heard) ?? this.batch(waitSeconds, signal)
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
