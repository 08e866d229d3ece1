import { goodbyeMs, pollSlackMs } from './bounds.js'
import { call, type Call, type Fetch } from './call.js'
import type { ReverseHttpError } from './error.js'
import type { Message } from './message.js'
import type { Polling } from './life.js'
import type { AddressSpace } from './local-network.js'
import type { Parts } from './parts.js'
import type { Pause } from './pause.js'
import type { Arrived } from './request.js'
import type {
  Batch,
  Cancel,
  ClaimAnswer,
  Response as Answer,
  Result,
  ResultStatus,
} from './envelope.js'

/**
 * Takes each line of a stream: its message, or undefined for a heartbeat. The caller awaits what it returns.
 */
export type Heard = (message?: Arrived | Cancel) => Promise<void> | undefined

/**
 * Sends a piece of the content of an answer. Returns its result, or `accepted` if that is not known yet but
 * the next piece may follow; `taken` is called when the gateway has the piece.
 */
export type Way = (
  piece: Uint8Array<ArrayBuffer> | Blob,
  more: boolean,
  taken?: () => void,
) => Promise<ResultStatus | undefined>

/** The part of a WebSocket that a link needs. */
export interface LinkSocket {
  /** Set to `arraybuffer` by the SDK. */
  binaryType: string
  /** Adds a listener of `open`, `message`, `error` or `close`. */
  addEventListener(type: string, listener: (event: any) => void): void
  /** Sends a text or binary message. */
  send(data: string | Uint8Array<ArrayBuffer>): void
  /** Closes the connection; without a code, with 1000. */
  close(code?: number): void
}

/** Opens one: the platform's `WebSocket`, or a compatible class. */
export type LinkSocketConstructor = new (url: string, protocol: string) => LinkSocket

/** The options that say how a program reaches the gateway. */
export interface ConnectOptions {
  fetch?: Fetch | undefined
  targetAddressSpace?: AddressSpace | undefined
  standby?: boolean | undefined
  WebSocket?: LinkSocketConstructor | null | undefined
  key?: string | undefined
}

/** The ways to the gateway, shared by its sessions. */
export interface Ways extends ConnectOptions {
  /** The URL of the discovery document. Other URLs of the gateway must be on its origin. */
  at: string
  /** The forms in which the gateway answers polls. */
  transports: string[]
  /** Sends requests to the gateway's origin only. */
  ask: Fetch
  /** The streaming module, once loaded. */
  streams?: Streams
  /** The module for pages and Workers; undefined if it cannot be loaded. */
  page?: Promise<Page | undefined> | undefined
}

/** A message for a link. */
export interface Sendable {
  readonly message: { readonly id: string; readonly seq?: number; readonly more?: boolean }
  readonly content: Uint8Array | undefined
  /** Its JSON, for content beside it. */
  line(beside: true): string
  /** Receives the gateway's result. */
  settle(result: Result | undefined): void
}

/** What a streamed answer has in flight on a link. */
export interface Flow {
  readonly link: OpenLink
  messages: number
  /** Bytes of content in flight. */
  bytes: number
  /** The most bytes allowed in flight. */
  window: number
}

/** The link of a session while it is open. */
export interface OpenLink {
  readonly open: boolean
  /** Ends waits when there may be room. */
  readonly changed: Pause
  /** Begins a streamed answer. */
  flow(): Flow
  /** Reports whether a streamed answer may send this much more content. */
  fits(bytes: number, flow: Flow): boolean
  /**
   * Sends messages of one exchange, together with ready ones of others. Reports whether it did: they may be
   * too large. If the link ends before all of them have results, `lost` is called with those of the exchange
   * that have none.
   */
  send<S extends Sendable>(messages: S[], lost: (all: S[]) => unknown, flow?: Flow): boolean
}

/** An answer whose content is to be sent. */
export interface Sending {
  session: Session
  request: Arrived
  /** The head. */
  answer: Answer
  signal: AbortSignal
  x: {
    /** The session that delivered its request. */
    by: Session
    /** How many messages the gateway has. */
    seq: number
  }
  /** Sends a message by a link. */
  push(message: Message, flow: Flow): Promise<ResultStatus | undefined>
  /** Receives the result of each. */
  judge(said: ResultStatus | undefined): void
  /** Sends a piece as messages, the head with the first. */
  part: Way
  report(code: string, request: Arrived, cause: unknown): void
}

/** What stream.ts does for a session, once it is loaded. */
export interface Streams {
  /** Polls once, by a link if there is one or it may be tried; otherwise by the given function. */
  byLink(
    session: Session,
    signal: AbortSignal,
    heard: Heard,
    otherwise: (signal: AbortSignal) => Promise<Batch | undefined>,
  ): Promise<Batch | undefined>
  /**
   * Polls once, for a stream if there was one or it may be tried. Returns what Session.batch returns;
   * messages by the stream are not in the returned batch.
   */
  listen(
    session: Session,
    waitSeconds: number,
    signal: AbortSignal,
    heard: Heard,
  ): Promise<Batch | undefined>
  /**
   * Makes an answer send its pieces by links, and a Blob in one request. Returns a function that waits for
   * the results of all of them.
   */
  flowing(of: Sending): () => Promise<unknown>
  /** Throws if a URL of a claim is on another origin than the discovery document. */
  vet(claimed: ClaimAnswer, at: string): void
  /** Takes the content of a Response if it is large and of known size. */
  knownContent(response: Response): Promise<Parts | undefined>
  /** Reports whether an intermediary refused the framed form, or changed it. */
  misread(error: ReverseHttpError): boolean
  /** Writes lines, each followed by its content if it has any. */
  frame(
    lines: string[],
    contents: (Uint8Array | Blob | undefined)[],
  ): Uint8Array<ArrayBuffer> | Blob
}

/** What page.ts does for a claim. */
export interface Page {
  /** Follows the lifecycle of the page until the signal aborts. */
  followPage(poller: Polling, signal: AbortSignal): void
  /** Sends a request to a gateway that may be in a more private network than this page. */
  reach(fetch: Fetch, options: ConnectOptions, url: string, init: RequestInit): Promise<Response>
}

/** One session of a claim, with the requests that a program may send for it. */
export class Session {
  declare readonly claimed: ClaimAnswer
  /** Names the newest message that this program has begun, with all before it. */
  declare cursor: string
  /** No poll of it will return anything; a new session is needed. */
  declare ended?: boolean
  /** The gateway accepts no answers from it either. */
  declare lost?: boolean
  /** The framed form does not come through, so answers are sent as JSON. */
  declare plain?: boolean
  /** How many of its requests last as long as their visitors like; each holds a connection. */
  lasting = 0
  /** An intermediary refuses large requests. */
  declare narrow?: boolean
  /** Its link while that is open. */
  declare link: OpenLink | undefined
  declare readonly ways: Ways

  constructor(ways: Ways, claimed: ClaimAnswer) {
    this.ways = ways
    this.claimed = claimed
    this.cursor = claimed.cursor
  }

  /** The streaming module, once loaded. */
  get streams(): Streams | undefined {
    return this.ways.streams
  }

  /** Writes the framed form; undefined if the gateway does not accept it. */
  get framed(): Streams['frame'] | undefined {
    return this.claimed.limits.framedInlineBytes && !this.plain ? this.streams?.frame : undefined
  }

  /**
   * Polls for what follows the cursor. Returns undefined if there was nothing. Messages by a link or a stream
   * are passed to `heard` as they arrive, and not returned.
   */
  poll(waitSeconds: number, signal: AbortSignal, heard: Heard): Promise<Batch | undefined> {
    const { streams } = this
    return (
      streams?.byLink(this, signal, heard, (signal) =>
        streams.listen(this, waitSeconds, signal, heard),
      ) ?? this.batch(waitSeconds, signal)
    )
  }

  /** Polls for what follows the cursor, as a batch. */
  batch(waitSeconds: number, signal: AbortSignal): Promise<Batch | undefined> {
    return this.call('GET', this.claimed.requests, {
      headers: { Prefer: `wait=${waitSeconds}`, 'Last-Event-ID': this.cursor },
      signal,
      waitMs: waitSeconds * 1000 + pollSlackMs,
    })
  }

  /** Reports that this program stops serving. With extra fields the request outlives the page. */
  async end(lastly?: Record<string, string>): Promise<void> {
    this.ended = this.lost = true
    await this.call('DELETE', this.claimed.session, {
      headers: { 'Last-Event-ID': this.cursor, ...lastly },
      lastly,
      waitMs: goodbyeMs,
    })
  }

  /** Sends a request with the token. */
  call<T>(method: Call['method'], url: string, of: Partial<Call> = {}): Promise<T | undefined> {
    return call<T>(this.ways.ask, url, { method, shown: this.claimed.token, ...of })
  }
}
