/*
 * Waits for one request to a path, such as a redirect of OAuth. Loaded with the first wait. After that the
 * path no longer reaches the handler: requests that nobody waits for get 404.
 */
import type { Handler } from './exchange.js'
import type { Info } from './request.js'

/** How `waitFor` waits; every member is optional. */
export interface WaitOptions {
  /** How long, in milliseconds. Absent: five minutes. */
  timeoutMs?: number
  /** Aborting it ends the wait. */
  signal?: AbortSignal
  /**
   * Reports whether a request is the awaited one; others get 404, and the wait goes on. Absent: the first GET
   * or POST is.
   */
  accept?: (request: Request) => boolean | Promise<boolean>
  /** Answers the request. Absent: with a page that can be closed. */
  respond?: (request: Request) => Response | Promise<Response>
}

/** The largest content of an awaited request, in bytes. */
const mostContent = 1024 * 1024
const waitMs = 5 * 60_000
/** How many paths are kept from the handler; those without a wait are forgotten first. */
const mostPaths = 1024

/** What a wait needs from a claim. */
interface Claimed {
  handler: Handler
  readonly closed: Promise<void>
}

/** The wait for each path of a claim; undefined once it is over. */
type Waits = Map<string, ((request: Request, info: Info) => Promise<Response>) | undefined>

const waits = new WeakMap<Claimed, Waits>()

/** @internal */
export function waitFor(claim: Claimed, path: string, options: WaitOptions = {}): Promise<Request> {
  const { timeoutMs = waitMs, signal, accept = () => true, respond = closable } = options
  const at = new URL(path, 'http://claim.invalid').pathname
  const paths = waits.get(claim) ?? taking(claim)
  if (paths.get(at)) throw new TypeError(`${at} is waited for already`)
  paths.delete(at) // moves it to the end
  for (const [oldest, waiting] of paths) {
    if (paths.size < mostPaths) break
    if (!waiting) paths.delete(oldest)
  }
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      if (paths.get(at) === mine) paths.set(at, undefined)
    }
    const aborted = (): void => {
      end()
      reject(signal!.reason)
    }
    const fail = (why: unknown): void => {
      end()
      reject(why)
    }
    const timer = setTimeout(
      () => fail(new DOMException(`Nothing came to ${at} in time.`, 'TimeoutError')),
      timeoutMs,
    )
    const mine = async (request: Request, info: Info): Promise<Response> => {
      const whole = await wholeOf(request, info)
      if (!whole) return new Response(null, { status: 413 })
      // Another request may have arrived while this one was read or judged.
      if (!(await accept(whole.clone())) || paths.get(at) !== mine) return missing()
      end()
      resolve(whole)
      return respond(whole.clone())
    }
    paths.set(at, mine)
    signal?.addEventListener('abort', aborted)
    if (signal?.aborted) aborted()
    claim.closed.then(() => fail(new DOMException('The claim was closed.', 'AbortError')), fail)
  })
}

/** Takes the awaited paths from the handler of a claim. */
function taking(claim: Claimed): Waits {
  const paths: Waits = new Map()
  waits.set(claim, paths)
  const { handler } = claim
  claim.handler = ((request, info) => {
    const { pathname } = new URL(request.url)
    if (!paths.has(pathname)) return handler(request, info)
    const waiting = paths.get(pathname)
    // Previews and prefetches do not come from the visitor.
    const ahead = info.headers.some(
      ([name, value]) => /^(sec-)?purpose$/i.test(name) && /prefetch/i.test(value),
    )
    if (!waiting || ahead || !/^(GET|POST)$/.test(info.method)) return missing()
    return waiting(request, info)
  }) satisfies Handler
  return paths
}

/**
 * Returns the request with its content in memory, since the original content ends with the exchange;
 * undefined if it is too long.
 */
async function wholeOf(
  { url, method, headers, signal }: Request,
  { body, content }: Info,
): Promise<Request | undefined> {
  const chunks: Uint8Array<ArrayBuffer>[] = [content]
  let { length } = content
  if (length > mostContent) return undefined
  if (body) {
    const reader = (body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if ((length += value.length) > mostContent) {
        reader.cancel().catch(() => {})
        return undefined
      }
      chunks.push(value)
    }
  }
  signal.throwIfAborted()
  const sent = method === 'GET' ? null : new Uint8Array(await new Blob(chunks).arrayBuffer())
  return new Request(url, { method, headers, body: sent })
}

const missing = (): Response => new Response(null, { status: 404 })

/** A page that says that it can be closed. It passes on nothing of the URL, which may contain a code. */
function closable(): Response {
  const html =
    '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Done</title>' +
    '<h1>Done</h1><p>You can close this page.</p>'
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Referrer-Policy': 'no-referrer',
  }
  return new Response(html, { headers })
}
