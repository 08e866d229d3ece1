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
  const { bearer, json, keepalive = false, signal, method } = of
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
        ...(json && { 'Content-Type': 'application/json' }),
        ...of.headers,
      },
      ...(json && { body: json }),
      keepalive,
      credentials: 'omit',
      signal: controller.signal,
    })
    clearTimeout(timer)
    timer = setTimeout(abort, contentMs)
    return read<T>(where, response, await response.text())
  } catch (cause) {
    if (cause instanceof ReverseHttpError) throw cause
    throw new ReverseHttpError('network', `${where}: no answer`, { cause })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

function read<T>(where: string, { ok, status, headers }: Response, text: string): T | undefined {
  let json
  try {
    if (!text) return ok ? undefined : fail()
    json = JSON.parse(text)
  } catch (cause) {
    if (cause instanceof ReverseHttpError) throw cause
    // A captive portal, a proxy's page of errors.
    fail('not JSON', cause)
  }
  return ok ? json : fail(json.detail, undefined, json.code)

  function fail(detail = '', cause?: unknown, code = 'unexpected'): never {
    throw new ReverseHttpError(code, `${where}: ${status} ${code} ${detail}`.trim(), {
      status,
      detail,
      retryAfterMs: retryAfterMs(headers.get('Retry-After')),
      cause,
    })
  }
}
