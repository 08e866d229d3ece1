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

/** Takes each line of a stream: its message, or nothing with a heartbeat. What it returns is waited for. */
export type Heard = (message?: Arrived | Cancel) => Promise<void> | undefined

/**
 * Sends a piece of the content of an answer. Returns what became of it, or `accepted` where that is not known yet
 * and the next may follow all the same; `taken` is called when the gateway has it.
 */
export type Way = (
  piece: Uint8Array<ArrayBuffer> | Blob,
  more: boolean,
  taken?: () => void,
) => Promise<ResultStatus | undefined>

/** What a link needs of a WebSocket. */
export interface LinkSocket {
  binaryType: string
  addEventListener(type: string, listener: (event: any) => void): void
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number): void
}

/** Makes one: `WebSocket` of the platform, or what is like it. */
export type LinkSocketConstructor = new (url: string, protocol: string) => LinkSocket

/** Those options of a program that say how it reaches the gateway. */
export interface ConnectOptions {
  fetch?: Fetch | undefined
  targetAddressSpace?: AddressSpace | undefined
  standby?: boolean | undefined
  WebSocket?: LinkSocketConstructor | null | undefined
  key?: string | undefined
}

/** The ways to the gateway that its sessions share. */
export interface Ways extends ConnectOptions {
  /** The URL of the discovery document. Other URLs of the gateway must be on its origin. */
  at: string
  /** The forms in which the gateway answers polls. */
  transports: string[]
  /** Sends requests to the gateway's origin only. */
  ask: Fetch
  /** What is loaded for streams by now. */
  streams?: Streams
  /** What is loaded where there is a page or a Worker; undefined where it does not come. */
  page?: Promise<Page | undefined> | undefined
}

/** A message for a link. */
export interface Sendable {
  readonly message: { readonly id: string; readonly seq?: number; readonly more?: boolean }
  readonly content: Uint8Array | undefined
  /** Its JSON, for content beside it. */
  line(beside: true): string
  /** Is told what the gateway said to it. */
  settle(result: Result | undefined): void
}

/** What a streamed answer has on its way on a link. */
export interface Flow {
  readonly link: OpenLink
  messages: number
  /** Of content. */
  bytes: number
  /** How much it may be. */
  window: number
}

/** The link of a session while it is open. */
export interface OpenLink {
  readonly open: boolean
  /** Ends waits when there may be room. */
  readonly changed: Pause
  /** Begins a streamed answer. */
  flow(): Flow
  /** Reports whether a streamed answer may send so much more content. */
  fits(bytes: number, flow: Flow): boolean
  /**
   * Sends messages of one exchange, with those of others that are ready. Reports whether it could: they may be too large.
   * `lost` is called where the link ends before the gateway says anything to them, with all such of the exchange.
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
    /** The session that its request came by. */
    by: Session
    /** How many messages the gateway has. */
    seq: number
  }
  /** Sends a message by a link. */
  push(message: Message, flow: Flow): Promise<ResultStatus | undefined>
  /** Is told what became of each. */
  judge(said: ResultStatus | undefined): void
  /** Sends a piece as messages, the head with the first. */
  part: Way
  report(code: string, request: Arrived, cause: unknown): void
}

/** What stream.ts does for a session, where that was loaded. */
export interface Streams {
  /** Polls once by a link, where there is one or it may be tried; else as it is told. */
  byLink(
    session: Session,
    signal: AbortSignal,
    heard: Heard,
    otherwise: (signal: AbortSignal) => Promise<Batch | undefined>,
  ): Promise<Batch | undefined>
  /** Polls once, for a stream where there was one or it may be tried. Returns what Session.batch does; what a stream brought is in no batch. */
  listen(
    session: Session,
    waitSeconds: number,
    signal: AbortSignal,
    heard: Heard,
  ): Promise<Batch | undefined>
  /**
   * Has an answer send its pieces by links, and a Blob in one request. Returns what waits until the gateway has said
   * something to all of them.
   */
  flowing(of: Sending): () => Promise<unknown>
  /** Throws if a URL of a claim is on another origin than the discovery document. */
  vet(claimed: ClaimAnswer, at: string): void
  /** Takes the content of a Response where it is much and its size is known. */
  knownContent(response: Response): Promise<Parts | undefined>
  /** Tells whether something between did not pass the framed form, or changed it. */
  misread(error: ReverseHttpError): boolean
  /** Writes lines, each with the content beside it where it has some. */
  frame(
    lines: string[],
    contents: (Uint8Array | Blob | undefined)[],
  ): Uint8Array<ArrayBuffer> | Blob
}

/** What page.ts does for a claim. */
export interface Page {
  /** Follows the life of the page until the signal aborts. */
  followPage(poller: Polling, signal: AbortSignal): void
  /** Sends a request to a gateway that may be in a more private network than this page. */
  reach(fetch: Fetch, options: ConnectOptions, url: string, init: RequestInit): Promise<Response>
}

/** One session of a claim, with the requests that a program may send for it. */
export class Session {
  declare readonly claimed: ClaimAnswer
  /** What this program has begun, it and all before it. */
  declare cursor: string
  /** No poll of it will bring anything any more; another session is needed. */
  declare ended?: boolean
  /** It takes no answers any more either. */
  declare lost?: boolean
  /** The framed form does not pass: answers go as JSON. */
  declare plain?: boolean
  /** How many of its requests last as long as their visitors like; each holds a connection. */
  lasting = 0
  /** Something between takes no large requests. */
  declare narrow?: boolean
  /** Its link, while that is open. */
  declare link: OpenLink | undefined
  declare readonly ways: Ways

  constructor(ways: Ways, claimed: ClaimAnswer) {
    this.ways = ways
    this.claimed = claimed
    this.cursor = claimed.cursor
  }

  /** What is loaded for streams by now. */
  get streams(): Streams | undefined {
    return this.ways.streams
  }

  /** What writes the framed form, where the gateway takes it. */
  get framed(): Streams['frame'] | undefined {
    return this.claimed.limits.framedInlineBytes && !this.plain ? this.streams?.frame : undefined
  }

  /**
   * Asks for what comes after the cursor; undefined when nothing came. What comes on a link or a stream is
   * told while it comes, not given.
   */
  poll(waitSeconds: number, signal: AbortSignal, heard: Heard): Promise<Batch | undefined> {
    const { streams } = this
    return (
      streams?.byLink(this, signal, heard, (signal) =>
        streams.listen(this, waitSeconds, signal, heard),
      ) ?? this.batch(waitSeconds, signal)
    )
  }

  /** Asks for what comes after the cursor, as a batch. */
  batch(waitSeconds: number, signal: AbortSignal): Promise<Batch | undefined> {
    return this.call('GET', this.claimed.requests, {
      headers: { Prefer: `wait=${waitSeconds}`, 'Last-Event-ID': this.cursor },
      signal,
      waitMs: waitSeconds * 1000 + pollSlackMs,
    })
  }

  /** Says that this program stops serving. With more fields it is said even while the page goes away. */
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
