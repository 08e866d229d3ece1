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
  /** The token or key to show. */
  shown?: string | undefined
  headers?: Record<string, string>
  /** The content, as JSON. */
  json?: string
  /** The content, in the framed form. */
  framed?: Uint8Array<ArrayBuffer> | Blob | undefined
  /** It outlives the page. */
  lastly?: object | undefined
  signal?: AbortSignal | undefined
  /**
   * Takes a good answer as it comes instead, unless it gives nothing. The signal ends that, too, and
   * so does `close`, which is to be called when the answer is of no use any more.
   */
  take?: ((response: Response, close: () => void) => unknown) | undefined
  /** How long to wait for the answer to begin, once all was sent. */
  waitMs?: number | undefined
}

/**
 * Sends one request and reads its answer whole: its JSON, or what is falsy where it has no content.
 * Everything else throws a ReverseHttpError. A connection that died in silence throws as well, in time;
 * one that is slow does not.
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
      // A captive portal, a proxy's page of errors.
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
    // What takes the answer may have failed, and left it open.
    abort()
    if (cause instanceof ReverseHttpError) throw cause
    // As a page does that lacks the permission to reach the gateway.
    const { barred = 'network', detail = '' } = cause as Partial<Barred>
    throw new ReverseHttpError(barred, `${where}: no answer`, { detail, cause })
  } finally {
    stop()
    if (!taken) end()
  }
}

/** The text of an answer. Tells of each piece. */
async function textOf(response: Response, moved: () => void): Promise<string> {
  moved()
  const reader = response.body?.getReader()
  // A fetch that is not the platform's may give no stream.
  if (!reader) return response.text()
  const decoder = new TextDecoder()
  for (let text = ''; ;) {
    const { done, value } = await reader.read()
    moved()
    text += decoder.decode(value, { stream: !done })
    if (done) return text
    // That is no JSON.
    if (text.length > mostAnswer) return '-'
  }
}
