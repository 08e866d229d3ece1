import { fromBase64 } from './base64.js'
import type { Field, Request as RequestEnvelope } from './envelope.js'

/** What a Request cannot carry; the second argument of every handler. */
export interface Info {
  /** Names the exchange. */
  readonly id: string
  /** Counts the deliveries of this exchange, from 1. */
  readonly attempt: number
  /** The method, in the case the visitor sent. */
  readonly method: string
  /** The request target byte for byte, each character one byte. */
  readonly target: string
  /** The target URI as the visitor sees it, with the path of the claim's URL. */
  readonly url: string
  /** The public URL of the claim; `request.url` has its path taken off. */
  readonly base: string
  /** The version of HTTP the visitor spoke. */
  readonly httpVersion: string
  /** Address and port of the visitor. */
  readonly remoteAddr: string
  /** All fields as pairs, as they came: also those that a browser's Request drops (Cookie, Host, Origin, …). */
  readonly headers: readonly Field[]
  /** The content, exact; also with GET and HEAD, where a Request has none. */
  readonly content: Uint8Array<ArrayBuffer>
  /** Fields to add to the answer, also those that a browser's Response drops (Set-Cookie). */
  readonly responseHeaders: Field[]
  /** How long the visitor waits for the answer, in milliseconds from now. */
  readonly timeoutMs: number
  /** Aborts when the answer is of no use any more; the same as `request.signal`. */
  readonly signal: AbortSignal
}

/** Makes an envelope what a handler takes. Throws where its URL is none. */
export function toRequest(
  envelope: RequestEnvelope,
  signal: AbortSignal,
): { request: Request; info: Info } {
  const { id, attempt, method, target, url, base, httpVersion, remoteAddr, timeoutMs } = envelope
  const headers = envelope.headers
  const content = contentOf(envelope)
  const request = build(routed(url, base), method, headers, content, signal)
  const info = { id, attempt, method, target, url, base, httpVersion, remoteAddr, headers }
  return { request, info: { ...info, content, responseHeaders: [], timeoutMs, signal } }
}

function contentOf({ body = '', bodyBase64 }: RequestEnvelope): Uint8Array<ArrayBuffer> {
  return bodyBase64 ? fromBase64(bodyBase64) : new TextEncoder().encode(body)
}

/** The URL with the path of the claim taken off, in ASCII. */
function routed(url: string, base: string): string {
  // A target is bytes: leave none of them to be read as a character, or # as a fragment.
  return (url.startsWith(base) ? new URL(base).origin + '/' + url.slice(base.length) : url).replace(
    /[\x80-\xff#]/g,
    (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase(),
  )
}

function build(
  url: string,
  method: string,
  fields: Field[],
  content: Uint8Array<ArrayBuffer>,
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
  // Bytes, not text: a text would bring a Content-Type that nobody sent.
  const body = content.length && !/^(get|head)$/i.test(method) ? content : null
  const carrier = /^(connect|trace|track)$/i.test(method) ? 'POST' : method
  const request = new Request(url, { method: carrier, headers, body, signal })
  // Request refuses some methods and writes others in upper case; a method is what the visitor sent.
  if (request.method !== method) Object.defineProperty(request, 'method', { value: method })
  return request
}
