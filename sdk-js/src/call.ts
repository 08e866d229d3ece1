import { ReverseHttpError } from './error.js'
import { retryAfterMs } from './backoff.js'

/** The `fetch` to use. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** One request to the gateway. */
export interface Call {
  method: 'GET' | 'POST' | 'DELETE'
  /** The token or key to show. */
  bearer?: string | undefined
  headers?: Record<string, string>
  /** The content, as JSON. */
  json?: string
  /** Lets the request outlive the page. */
  keepalive?: boolean
  signal?: AbortSignal | undefined
  /** Gives the content as it comes instead; the signal ends that, too. */
  streams?: boolean
  /** How long to wait for the answer to begin. */
  waitMs?: number
}

const defaultWaitMs = 30_000
// Content that has begun may take its time: a batch can be large and a line slow.
const contentMs = 60_000

/**
 * Sends one request and reads its answer whole: its JSON, or undefined where it has no content.
 * Everything else throws a ReverseHttpError. A connection that died in silence throws as well, in time.
 */
export async function call<T>(fetch: Fetch, url: string, of: Call): Promise<T | undefined> {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  const { bearer, json: body, keepalive, signal, method } = of
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort)
  let timer = setTimeout(abort, of.waitMs ?? defaultWaitMs)
  const where = `${method} ${url}`
  try {
    const response = await fetch(url, {
      method,
      headers: {
        Accept: 'application/json',
        ...(bearer && { Authorization: `Bearer ${bearer}` }),
        ...(body && { 'Content-Type': 'application/json' }),
        ...of.headers,
      },
      ...(body && { body }),
      keepalive: !!keepalive,
      credentials: 'omit',
      signal: controller.signal,
    })
    if (of.streams && response.ok) return response.body as T
    clearTimeout(timer)
    timer = setTimeout(abort, contentMs)
    const text = await response.text()
    let json, cause
    try {
      json = text ? JSON.parse(text) : undefined
    } catch (e) {
      // A captive portal, a proxy's page of errors.
      cause = e
    }
    const { ok, status } = response
    if (ok && !cause) return json
    const { code = 'unexpected', detail = '' } = (!ok && json) || {}
    throw new ReverseHttpError(code, `${where}: ${status} ${code} ${detail}`.trim(), {
      status,
      detail,
      retryAfterMs: retryAfterMs(response.headers.get('Retry-After')),
      cause,
    })
  } catch (cause) {
    if (cause instanceof ReverseHttpError) throw cause
    throw new ReverseHttpError('network', `${where}: no answer`, { cause })
  } finally {
    clearTimeout(timer)
    if (!of.streams) signal?.removeEventListener('abort', abort)
  }
}
