import { onAbort } from './abort.js'
import { ReverseHttpError } from './error.js'
import { retryAfterMs } from './backoff.js'
import { answerMs, byteMs, contentMs, mostAnswer } from './bounds.js'
import { patience } from './patience.js'

/** The media type of messages with their content beside them (schema/README.md, 4). */
const mediaFramed = 'application/vnd.reversehttp'

/** The `fetch` to use. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** The error of a page that may not reach a gateway (local-network.ts). */
export interface Barred {
  readonly barred: 'permission_needed' | 'permission_denied'
  readonly detail: string
}

/** One request to the gateway. */
export interface Call {
  method: 'GET' | 'POST' | 'DELETE'
  /** The token or key to send. */
  shown?: string | undefined
  headers?: Record<string, string>
  /** The content, as JSON. */
  json?: string
  /** The content, in the framed form. */
  framed?: Uint8Array<ArrayBuffer> | Blob | undefined
  /** The request outlives the page. */
  lastly?: object | undefined
  signal?: AbortSignal | undefined
  /**
   * Takes a successful answer as a stream instead; if this returns a falsy value, the answer is read as
   * usual. The signal ends the stream, and so does `close`; call it once the answer is no longer needed.
   */
  take?: ((response: Response, close: () => void) => unknown) | undefined
  /** How long to wait for the answer to begin once the whole request was sent. */
  waitMs?: number | undefined
}

/**
 * Sends one request and reads the whole answer. Returns its JSON, or a falsy value if it has no content.
 * Throws a ReverseHttpError for every other answer and for a connection that falls silent, but not for a slow
 * one.
 */
export async function call<T>(fetch: Fetch, url: string, of: Call): Promise<T | undefined> {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  const { shown, json, framed, signal, method } = of
  const end = onAbort(signal, abort)
  const close = (): void => {
    end()
    abort()
  }
  let taken: unknown
  const size = (framed as Blob)?.size ?? (json ?? (framed as Uint8Array))?.length ?? 0
  let stop = patience(of.waitMs ?? answerMs + size * byteMs, abort)
  const where = `${method} ${url}`
  try {
    const response = await fetch(url, {
      method,
      headers: {
        Accept: 'application/json',
        ...(shown && { Authorization: `Bearer ${shown}` }),
        ...(json && { 'Content-Type': 'application/json' }),
        ...(framed && { 'Content-Type': mediaFramed }),
        ...of.headers,
      },
      body: json ?? framed ?? null,
      credentials: 'omit',
      signal: controller.signal,
      keepalive: !!of.lastly,
    })
    stop()
    taken = response.ok && (await of.take?.(response, close))
    if (taken) return taken as T
    const text = await textOf(response, () => {
      stop()
      stop = patience(contentMs, abort)
    })
    let found, cause
    try {
      found = text && JSON.parse(text)
    } catch (e) {
      // For example the page of a captive portal, or a proxy's error page.
      cause = e
    }
    const { ok, status } = response
    if (ok && !cause) return found
    const { code = 'unexpected', detail = '' } = (!ok && found) || {}
    throw new ReverseHttpError(code, `${where}: ${status} ${code} ${detail}`.trim(), {
      status,
      detail,
      retryAfterMs: retryAfterMs(response.headers.get('Retry-After')),
      cause,
    })
  } catch (cause) {
    // `take` may have failed and left the answer open.
    abort()
    if (cause instanceof ReverseHttpError) throw cause
    // For example a page that lacks the permission to reach the gateway.
    const { barred = 'network', detail = '' } = cause as Partial<Barred>
    throw new ReverseHttpError(barred, `${where}: no answer`, { detail, cause })
  } finally {
    stop()
    if (!taken) end()
  }
}

/** Reads the text of an answer. Calls `moved` with each piece. */
async function textOf(response: Response, moved: () => void): Promise<string> {
  moved()
  const reader = response.body?.getReader()
  // A replaced fetch may return no stream.
  if (!reader) return response.text()
  const decoder = new TextDecoder()
  for (let text = ''; ;) {
    const { done, value } = await reader.read()
    moved()
    text += decoder.decode(value, { stream: !done })
    if (done) return text
    // Not valid JSON.
    if (text.length > mostAnswer) return '-'
  }
}
