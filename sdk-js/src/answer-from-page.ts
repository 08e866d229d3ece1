/* The Worker's side of worker.ts: the Worker holds the connection, and its page answers. */
import { onAbort } from './abort.js'
import { transfers } from './page-messages.js'
import type { Claim, State } from './claim.js'
import type { ClaimAnswer, Field } from './envelope.js'
import type { ReverseHttpError } from './error.js'
import type { Handler } from './exchange.js'
import type { ServeOptions } from './options.js'
import type { Fault, FromPage, FromWorker, PageLife, PageTrouble } from './page-messages.js'
import type { Arrived } from './request.js'
import type { serve } from './serve.js'
import type { Ownership } from './storage.js'

/** How long a page may take to begin a request, and how much later its message may arrive. */
const beginMs = 2_000
const graceMs = 500
/** How many seconds later a visitor should try again. */
const retrySeconds = 5
/** How many bytes of request content are buffered where streams cannot be transferred. */
const mostContent = 16 << 20

const details: Record<PageTrouble, string> = {
  busy: 'The page that answers is busy. Try again later.',
  asleep: 'The page that answers is in a hidden tab that sleeps. Try again later.',
  frozen: 'The browser froze the page that answers. Try again later.',
  gone: 'The page that answers was left. Try again later.',
}

/** What this module needs of a Worker's global scope. */
interface Scope {
  postMessage(message: FromWorker, transfer?: Transferable[]): void
  addEventListener(type: 'message', listener: (event: MessageEvent<FromPage>) => void): void
  dispatchEvent(event: Event): void
}

interface Waiting {
  begun(): void
  resolve(response: Response): void
  reject(error: unknown): void
  answered(of: FromPage & { type: 'answered' }): void
  hints(headers: Field[]): void
  open(): void
  isBegun: boolean
}

/** @internal Runs in the Worker: serves, and passes requests to the page. */
export function answerFromPage(make: typeof serve): void {
  const scope = globalThis as unknown as Scope
  const waiting = new Map<string, Waiting>()
  let claim: Claim | undefined
  let told: State | PageTrouble | undefined
  let life = 0
  let page: PageLife = 'visible'
  let stuck = false
  const tell = (message: FromWorker, transfer: Transferable[] = []): void =>
    scope.postMessage(message, transfer)
  const trouble = (): PageTrouble | undefined => {
    if (page === 'frozen' || page === 'gone') return page
    if (!stuck) return undefined
    return page === 'hidden' ? 'asleep' : 'busy'
  }
  const turn = (error?: ReverseHttpError): void => {
    if (!claim) return
    const state = claim.state === 'online' ? (trouble() ?? 'online') : claim.state
    if (state === told) return
    told = state
    // A claim's domain member holds the gateway's whole answer.
    const facts = claim.domain as ClaimAnswer
    tell({ type: 'turned', state, facts, ...(error && { error: faultOf(error) }) })
  }

  const handler: Handler = (_, info) => {
    const why = trouble()
    if (why) return unavailable(why)
    const { body, signal, responseHeaders, earlyHints, upgrade, ...facts } = info
    const { id } = info
    return new Promise<Response>((resolve, reject) => {
      let timer = setTimeout(() => {
        stuck = true
        turn()
        // The page's message may still be on its way, or this Worker was suspended as well.
        timer = setTimeout(() => x.resolve(unavailable(trouble() ?? 'busy')), graceMs)
      }, beginMs)
      const over = (): void => {
        clearTimeout(timer)
        waiting.delete(id)
      }
      onAbort(signal, () => {
        over()
        tell({ type: 'cancel', id, message: `${(signal.reason as Error)?.message}` })
        reject(signal.reason)
      })
      const x: Waiting = {
        isBegun: false,
        begun() {
          clearTimeout(timer)
          x.isBegun = true
        },
        resolve(response) {
          over()
          resolve(response)
        },
        reject(error) {
          over()
          reject(error)
        },
        answered({ status, headers, added, content }) {
          over()
          responseHeaders.push(...added)
          try {
            resolve(new Response(content, { status, headers }))
          } catch (e) {
            reject(e)
          }
        },
        hints: (headers) => earlyHints(headers),
        open() {
          if (!body || body.locked)
            return tell({ type: 'content', id, content: null, error: 'read' })
          if (transfers()) return tell({ type: 'content', id, content: body }, [body as any])
          void read(body).then(
            (content) => tell({ type: 'content', id, content }, [content.buffer]),
            (e) => tell({ type: 'content', id, content: null, error: `${e.message}` }),
          )
        },
      }
      waiting.set(id, x)
      const envelope = { ...facts, type: 'request', ...(body && { bodyUrl: 'content' }) } as Arrived
      tell({ type: 'request', envelope, beginBy: Date.now() + beginMs, life })
    })
  }

  const begin = async (options: ServeOptions, known: Partial<Ownership>): Promise<void> => {
    const storage = {
      getItem: () => JSON.stringify(known),
      setItem() {},
      removeItem() {},
    }
    try {
      claim = await make(handler, { ...options, storage, logger: null })
      const { state } = claim
      told = state
      claim.addEventListener('statechange', (e) => turn(e.error))
      claim.addEventListener('error', ({ error }) => tell({ type: 'error', error: faultOf(error) }))
      claim.addEventListener('exchange', ({ request, response, result, durationMs }) =>
        tell({ type: 'exchange', end: { request, response, result, durationMs } }),
      )
      tell({ type: 'serving', state, facts: claim.domain as ClaimAnswer })
    } catch (e) {
      tell({ type: 'refused', error: faultOf(e as ReverseHttpError) })
    }
  }

  const follow = (message: FromPage & { type: 'life' }): void => {
    ;({ page, life } = message)
    const why = trouble()
    if (why) for (const x of [...waiting.values()]) if (!x.isBegun) x.resolve(unavailable(why))
    // The SDK in this Worker listens to these events as it would in a page. Freezing a page dispatches the
    // same ones.
    const { left, persisted } = message
    if (left !== undefined) {
      const event = new Event(left ? 'pagehide' : 'pageshow')
      scope.dispatchEvent(Object.assign(event, { persisted: persisted ?? true }))
    }
  }

  scope.addEventListener('message', ({ data }) => {
    stuck = false
    const x = 'id' in data ? waiting.get(data.id) : undefined
    if (data.type === 'begin') void begin(data.options, data.known)
    else if (data.type === 'life') follow(data)
    else if (data.type === 'close') void claim?.close()
    else if (data.type === 'begun') x?.begun()
    else if (data.type === 'late') x?.resolve(unavailable(trouble() ?? 'busy'))
    else if (data.type === 'answered') x?.answered(data)
    else if (data.type === 'failed') x?.reject(data.error)
    else if (data.type === 'hints') x?.hints(data.headers)
    else if (data.type === 'open') x?.open()
    turn()
  })
  tell({ type: 'here' })
}

/** Returns the answer to visitors while the page takes no requests. */
function unavailable(code: PageTrouble): Response {
  const problem = { title: 'Service Unavailable', status: 503, code, detail: details[code] }
  const headers = { 'Content-Type': 'application/problem+json', 'Retry-After': `${retrySeconds}` }
  return new Response(JSON.stringify(problem), { status: 503, headers })
}

/** Reads the whole content, up to the bound. */
async function read(body: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  const reader = body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return new Uint8Array(await new Blob(pieces).arrayBuffer())
    size += value.length
    pieces.push(value as Uint8Array<ArrayBuffer>)
    if (size <= mostContent) continue
    void reader.cancel()
    throw new TypeError('the content is too long for this browser')
  }
}

function faultOf(error: ReverseHttpError): Fault {
  const { code, message, status, detail, retryAfterMs, trace, cause } = error
  const facts = { code, message, status, detail, retryAfterMs, trace }
  try {
    return structuredClone({ ...facts, cause })
  } catch {
    return facts
  }
}
