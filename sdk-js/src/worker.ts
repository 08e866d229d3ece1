/*
 * A claim's connection in a Worker, with its handler in the page. This module runs in both: the page makes a
 * Worker from a Blob, which imports this module and the SDK by URL.
 *
 * The Worker passes each request to the page with a deadline for beginning it. Before its handler runs, the
 * page sends `begun`, or `late` after the deadline. The Worker answers 503 if the page did not begin a
 * request in time; a page that resumes later sees the deadline and does not begin it, since its visitor was
 * already told to try again. A request that was begun has as long as its visitor waits.
 *
 * `life` counts how often the page went away or came back. A request with an older count is late too: the
 * gateway may have given it to another tab.
 */
import { onAbort } from './abort.js'
import { FromPageClaim, revive, type PageClaim } from './page-claim.js'
import { moduleURL } from './module-url.js'
import { Memory, pageStorage } from './storage.js'
import type { ReverseHttpError } from './error.js'
import type { Handler } from './exchange.js'
import type { ServeOptions } from './options.js'
import type { FromPage, FromWorker } from './page-messages.js'
import type { serve } from './serve.js'

export { answerFromPage } from './answer-from-page.js'
export type { PageClaim, PageClaimEventMap } from './page-claim.js'
export type { PageTrouble } from './page-messages.js'

/** How long the Worker may take to load. */
const loadMs = 10_000

interface SDK {
  readonly serve: typeof serve
  readonly ReverseHttpError: typeof ReverseHttpError
}

/**
 * Serves as `serve` does, with the connection in a Worker, so that throttled timers or a busy page do not end
 * it; visitors of such a page get 503 with Retry-After. Where such a Worker is impossible it serves in the
 * page.
 */
export async function serveFromWorker(
  handler: Handler,
  options: ServeOptions = {},
): Promise<PageClaim> {
  const { signal, logger, storage = pageStorage(), fetch, WebSocket, ...plain } = options
  const here = import.meta.url
  const sdk = moduleURL('index.js')
  const { serve: serveHere, ReverseHttpError: Known }: SDK = await import(sdk)
  const inPage = (): Promise<PageClaim> => serveHere(handler, options)
  const gateway = options.gateway ?? globalThis.location?.origin
  if (fetch || WebSocket || !gateway || gateway === 'null') return inPage()
  signal?.throwIfAborted()
  const worker = await start(here, sdk)
  if (!worker) return inPage()
  const memory = new Memory(storage, gateway, options.label)
  const give = (message: FromPage): void => worker.postMessage(message)
  const giveUp = (): void => {
    worker.terminate()
    memory.release()
  }
  return new Promise<PageClaim>((resolve, reject) => {
    const end = onAbort(signal, () => {
      giveUp()
      reject(signal!.reason)
    })
    const first = ({ data }: MessageEvent<FromWorker>): void => {
      if (data.type !== 'serving' && data.type !== 'refused') return
      worker.removeEventListener('message', first)
      end()
      if (data.type === 'refused') {
        giveUp()
        // Only a document may ask for the missing permission.
        if (data.error.code === 'permission_needed') resolve(inPage())
        else reject(revive(data.error, Known))
        return
      }
      memory.keep(data.facts)
      resolve(new FromPageClaim(handler, worker, memory, data, options, Known) as PageClaim)
    }
    worker.addEventListener('message', first)
    const known = options.token ? {} : memory.recall()
    if (WebSocket === null) Object.assign(plain, { WebSocket })
    give({ type: 'begin', options: { ...plain, gateway: `${gateway}` }, known })
  })
}

/**
 * Starts a Worker that has the SDK; returns undefined if a policy, the browser or the network prevents one.
 */
async function start(here: string, sdk: string): Promise<Worker | undefined> {
  const code = `Promise.all([import(${JSON.stringify(here)}),import(${JSON.stringify(sdk)})]).then(([w,s])=>w.answerFromPage(s.serve),()=>postMessage({type:'unable'}))`
  const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }))
  let worker: Worker | undefined
  let timer
  try {
    const made = (worker = new Worker(trusted(url), { type: 'module', name: 'reversehttp' }))
    const able = await new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), loadMs)
      made.addEventListener('error', (event) => {
        event.preventDefault()
        resolve(false)
      })
      made.addEventListener('message', ({ data }) => resolve(data.type === 'here'), { once: true })
    })
    if (able) return made
  } catch {
    // There is no Worker, or Trusted Types lack the policy below.
  } finally {
    clearTimeout(timer)
    URL.revokeObjectURL(url)
  }
  worker?.terminate()
  return undefined
}

/** What makes URLs of scripts for a site with Trusted Types. */
interface ScriptPolicy {
  createScriptURL(url: string): string
}

let policy: ScriptPolicy | undefined

/** Returns the URL as one that Trusted Types allow, if the site allows the policy `reversehttp`. */
function trusted(url: string): string {
  const { trustedTypes } = globalThis as {
    trustedTypes?: { createPolicy(name: string, rules: ScriptPolicy): ScriptPolicy }
  }
  if (!trustedTypes) return url
  try {
    // Only this module has it, and only for the Worker that it makes.
    policy ??= trustedTypes.createPolicy('reversehttp', { createScriptURL: (of) => of })
    return policy.createScriptURL(url)
  } catch {
    return url
  }
}
