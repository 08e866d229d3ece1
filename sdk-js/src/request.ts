import { fromBase64 } from './base64.js'
import { lazy, type Open } from './content.js'
import type { Socket, UpgradeOptions } from './socket.js'
import type { Field, Request as RequestEnvelope, Trace } from './envelope.js'

/** What a Request cannot carry; the second argument of every handler. */
export interface Info {
  /** Names the exchange. */
  readonly id: string
  /** Counts the deliveries of this exchange, from 1. */
  readonly attempt: number
  /**
   * The trace that the request belongs to, as the fields `traceparent` and, unless it is absent, `tracestate`: what
   * the visitor sent, if it was valid, otherwise a trace that the gateway began. `fetch(url, { headers: info.trace })`
   * continues it. Absent at a gateway that begins none.
   */
  readonly trace?: Trace
  /** The exchange whose recorded request the owner replays. Absent for a visitor's own request. */
  readonly replayOf?: string
  /** The method, in the case that the visitor sent. */
  readonly method: string
  /** The request target byte for byte, each character one byte. */
  readonly target: string
  /** The target URI as the visitor sees it, with the path of the claim's URL. */
  readonly url: string
  /** The public URL of the claim. `request.url` lacks its path. */
  readonly base: string
  /** The HTTP version of the visitor. */
  readonly httpVersion: string
  /** The address and port of the visitor. */
  readonly remoteAddr: string
  /** All fields as pairs, as they came: also those that a browser's Request drops (Cookie, Host, Origin, …). */
  readonly headers: readonly Field[]
  /**
   * The content as it comes, if it is long or of unknown length, and otherwise null. The same as
   * `request.body`, but also set with GET and HEAD.
   */
  readonly body: ReadableStream<Uint8Array> | null
  /**
   * The exact content, also with GET and HEAD, where a Request has none. Empty if the content comes
   * by `body`.
   */
  readonly content: Uint8Array<ArrayBuffer>
  /** Fields to add to the answer, also those that a browser's Response drops (Set-Cookie). */
  readonly responseHeaders: Field[]
  /** Sends the visitor these fields in a 103 (Early Hints) at once, ahead of the answer. */
  readonly earlyHints: (headers: Field[]) => void
  /**
   * Accepts a request to upgrade the connection to a WebSocket. Absent if the request is not one, and
   * if the module for it could not be loaded.
   */
  upgrade?: (options?: UpgradeOptions) => Socket
  /** How long the visitor waits for the answer, in milliseconds from now. */
  readonly timeoutMs: number
  /** Aborts when nobody needs the answer any more. The same as `request.signal`. */
  readonly signal: AbortSignal
}

/** An envelope as it arrived. */
export type Arrived = RequestEnvelope & {
  /** The content beside it, in place of `body` and `bodyBase64`. */
  content?: Uint8Array<ArrayBuffer>
}

/** Converts an envelope to the arguments of a handler. Throws if its URL is invalid. */
export function toRequest(
  envelope: Arrived,
  signal: AbortSignal,
  open: Open,
  earlyHints: Info['earlyHints'],
): { request: Request; info: Info } {
  const {
    type,
    body: text = '',
    bodyBase64,
    contentLength,
    content = bodyBase64 ? fromBase64(bodyBase64) : new TextEncoder().encode(text),
    bodyUrl,
    responseUrl,
    upgrade,
    ...facts
  } = envelope
  const body = bodyUrl ? lazy(() => open(bodyUrl)) : null
  const request = build(facts, content.length ? content : body, signal)
  return { request, info: { ...facts, body, content, responseHeaders: [], signal, earlyHints } }
}

/** Returns the URL without the path of the claim, in ASCII. */
function routed(url: string, base: string): string {
  // A target is bytes: none may be read as a character, nor # as a fragment.
  return (url.startsWith(base) ? new URL(base).origin + '/' + url.slice(base.length) : url).replace(
    /[\x80-\xff#]/g,
    (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase(),
  )
}

function build(
  { url, base, method, headers: fields }: Pick<Info, 'url' | 'base' | 'method' | 'headers'>,
  content: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
): Request {
  const headers = new Headers()
  for (const [name, value] of fields) {
    try {
      headers.append(name, value)
    } catch {
      // A value that Headers refuses is still in info.headers.
    }
  }
  // Bytes, not text, which would add a Content-Type that nobody sent.
  const body = /^(get|head)$/i.test(method) ? null : content
  const carrier = /^(connect|trace|track)$/i.test(method) ? 'POST' : method
  const init = { method: carrier, headers, body, signal, duplex: 'half' }
  // If Request does not accept a stream (Firefox, Safari), it would convert it to text.
  // Browsers that cannot send streams lack the member body, too, as Firefox does. A request with bytes keeps
  // them all the same, for fetch.
  const apart = !('duplex' in Request.prototype)
  if (apart && body instanceof ReadableStream) init.body = null
  const request = new Request(routed(url, base), init)
  if (apart) carry(request, new Response(body, { headers }))
  // Request refuses some methods and converts others to upper case. This keeps what the visitor sent.
  if (request.method !== method) Object.defineProperty(request, 'method', { value: method })
  return request
}

/** Makes the members of an empty Request read the content of a Response. */
function carry(request: Request, content: Response): Request {
  const clone = request.clone.bind(request)
  const members: PropertyDescriptorMap = {
    clone: { value: () => carry(clone(), content.clone()) },
  }
  for (const name of [
    'body',
    'bodyUsed',
    'arrayBuffer',
    'blob',
    'bytes',
    'formData',
    'json',
    'text',
  ] as const) {
    // A method works only on its own object.
    members[name] = { get: () => (content[name] as Function)?.bind?.(content) ?? content[name] }
  }
  return Object.defineProperties(request, members)
}
