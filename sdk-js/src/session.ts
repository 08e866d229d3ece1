import { goodbyeMs, pollSlackMs } from './bounds.js'
import { call, type Call, type Fetch } from './call.js'
import type { ReverseHttpError } from './error.js'
import type { Parts } from './parts.js'
import type { Arrived } from './request.js'
import type { Batch, Cancel, ClaimAnswer, Response as Answer, ResultStatus } from './envelope.js'

/** Takes each line of a stream: its message, or nothing with a heartbeat. What it returns is waited for. */
export type Heard = (message?: Arrived | Cancel) => Promise<void> | undefined

/**
 * Sends a piece of the content of an answer. Returns what became of it; the next follows when it was taken.
 */
export type Way = (
  piece: Uint8Array<ArrayBuffer>,
  more: boolean,
) => Promise<ResultStatus | undefined>

/** An answer whose content is to be sent. */
export interface Sending {
  session: Session
  request: Arrived
  /** The head. */
  answer: Answer
  signal: AbortSignal
  /** Sends a piece as a message, the head with the first. */
  part: Way
  report(code: string, request: Arrived, cause: unknown): void
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
  knownContent(response: Response): Promise<Parts | undefined>
  /** Sends a Blob as the content of an answer, in one message; in parts where it does not pass. */
  sendBlob(of: Sending, blob: Blob): ReturnType<Way>
  /** Tells whether something between did not pass the framed form, or changed it. */
  misread(error: ReverseHttpError): boolean
  /** Writes lines, each with the content beside it where it has some. */
  framed(
    lines: string[],
    contents: (Uint8Array | Blob | undefined)[],
  ): Uint8Array<ArrayBuffer> | Blob
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
  /** The framed form does not pass: answers go as JSON. */
  plain = false
  /** How many of its requests last as long as their visitors like; each holds a connection. */
  lasting = 0
  /** Something between takes no large requests. */
  narrow = false
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

  /** What writes the framed form, where the gateway takes it. */
  get framed(): Streams['framed'] | undefined {
    return this.claimed.limits.framedInlineBytes && !this.plain ? this.streams?.framed : undefined
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
