/*
 * The claim of a page whose connection a Worker holds (worker.ts): runs the handler, and follows the page's
 * lifecycle.
 */
import { onAbort } from './abort.js'
import { call } from './call.js'
import { lastWord } from './last-word.js'
import { moduleURL } from './module-url.js'
import { transfers } from './page-messages.js'
import { toRequest } from './request.js'
import type { Claim, ClaimEventMap, State, StateChangeEvent } from './claim.js'
import type { ClaimAnswer, Field } from './envelope.js'
import type { ReverseHttpError } from './error.js'
import type { Handler } from './exchange.js'
import type { ServeOptions } from './options.js'
import type {
  Content,
  Fault,
  FromPage,
  FromWorker,
  PageLife,
  PageTrouble,
} from './page-messages.js'
import type { Memory } from './storage.js'

/** The events of such a claim. */
export interface PageClaimEventMap extends Omit<ClaimEventMap, 'statechange'> {
  /** After every change of `state`. */
  statechange: Omit<StateChangeEvent, 'state'> & {
    /** The state from now on. */
    readonly state: State | PageTrouble
  }
}

/** The claim that `serveFromWorker` returns: a `Claim` with more states. */
export interface PageClaim extends Omit<
  Claim,
  'state' | 'handler' | 'addEventListener' | 'url' | 'label' | 'token' | 'exchanges' | 'domain'
> {
  /** The public URL, with a final slash. */
  readonly url: string
  /** The label. */
  readonly label: string
  /** The secret that owns the claim. Anyone who has it can take the label. */
  readonly token: string
  /** The URL of what the gateway recorded, with the option `inspect`; undefined if it records nothing. */
  readonly exchanges: string | undefined
  /** The state of the option `domain`, as in `Claim`. */
  readonly domain: Claim['domain']
  /** What the claim does now, or why the page takes no requests. */
  readonly state: State | PageTrouble
  /** Adds a listener, as every EventTarget does. */
  addEventListener<K extends keyof PageClaimEventMap>(
    type: K,
    listener: (event: PageClaimEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void
  /** Adds a listener of any other event. */
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void
}

type Listening = Parameters<EventTarget['addEventListener']>

interface Running {
  readonly controller: AbortController
  /** Receives the requested content. */
  opened?: (content: Content, error?: string) => void
}

/** The page's side. */
export class FromPageClaim extends EventTarget {
  state: State | PageTrouble
  readonly closed: Promise<void>
  #facts: ClaimAnswer
  #life = 0
  readonly #leaveWord: ReturnType<typeof lastWord> = lastWord()
  #away = false
  /** @internal Answers requests; `waitFor` takes its place. */
  handler: Handler
  readonly #worker: Worker
  readonly #options: ServeOptions
  readonly #running = new Map<string, Running>()
  readonly #over = new AbortController()
  readonly #Known: typeof ReverseHttpError
  #settle!: (error?: Error) => void
  #heard = false
  readonly #listeners = new WeakMap<object, EventListener>()
  readonly #memory: Memory
  #letGo = (): void => {}

  constructor(
    handler: Handler,
    worker: Worker,
    memory: Memory,
    { state, facts }: { state: State | PageTrouble; facts: ClaimAnswer },
    options: ServeOptions,
    Known: typeof ReverseHttpError,
  ) {
    super()
    this.handler = handler
    this.#Known = Known
    this.#memory = memory
    this.#worker = worker
    this.#options = options
    this.#facts = facts
    this.state = state
    this.closed = new Promise((resolve, reject) => {
      this.#settle = (error) => (error ? reject(error) : resolve())
    })
    this.closed.catch(() => {})
    worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => this.#take(data))
    const { signal } = this.#over
    signal.addEventListener('abort', () => {
      this.#leaveWord()
      this.#letGo()
      worker.terminate()
      memory.release()
      for (const { controller } of this.#running.values()) controller.abort(aborted('closed'))
    })
    const end = onAbort(options.signal, () => void this.close())
    onAbort(signal, end)
    const listen = (target: EventTarget, type: string, then: (event: any) => void): void =>
      target.addEventListener(type, then, { signal })
    const seen = (): void => {
      if (!this.#away) this.#tellLife(visibility())
    }
    listen(document, 'visibilitychange', seen)
    listen(document, 'freeze', () => this.#leave('frozen', true))
    listen(document, 'resume', () => this.#comeBack())
    listen(globalThis as unknown as EventTarget, 'pagehide', ({ persisted }) =>
      this.#leave(persisted ? 'frozen' : 'gone', persisted),
    )
    listen(globalThis as unknown as EventTarget, 'pageshow', () => this.#comeBack())
    seen()
    this.#arm()
    this.#hold()
  }

  get label(): string {
    return this.#facts.label
  }

  get url(): string {
    return this.#facts.url
  }

  get token(): string {
    return this.#facts.token
  }

  get domain(): ClaimAnswer {
    return this.#facts
  }

  get exchanges(): string | undefined {
    return this.#facts.exchanges
  }

  close(): Promise<void> {
    if (!this.#over.signal.aborted) this.#give({ type: 'close' })
    return this.closed.catch(() => {})
  }

  waitFor(...of: Parameters<Claim['waitFor']>): Promise<Request> {
    const loading: Promise<typeof import('./wait.js')> = import(moduleURL('wait.js'))
    return loading.then((m) => m.waitFor(this, ...of))
  }

  async delete(): Promise<void> {
    await this.close()
    this.#memory.forget()
    const { claim, token } = this.#facts
    const { fetch } = globalThis
    await call((...of) => fetch(...of), claim, { method: 'DELETE', shown: token }).catch((e) => {
      throw revive(e, this.#Known)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  override addEventListener(...[type, listener, options]: Listening): void {
    super.addEventListener(type, this.#noting(type, listener), options)
  }

  override removeEventListener(...[type, listener, options]: Listening): void {
    super.removeEventListener(type, this.#noting(type, listener), options)
  }

  /** Wraps an error listener to note that it was called, as a Claim does. */
  #noting(type: string, listener: Listening[1]): Listening[1] {
    if (type !== 'error' || !listener) return listener
    const noting: EventListener =
      this.#listeners.get(listener) ??
      ((event) => {
        this.#heard = true
        if (typeof listener === 'function') listener.call(this, event)
        else listener.handleEvent(event)
      })
    this.#listeners.set(listener, noting)
    return noting
  }

  #give(message: FromPage, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  #tell(type: string, members: object): void {
    this.dispatchEvent(Object.assign(new Event(type), members))
  }

  #turn(state: State | PageTrouble, error?: Error): void {
    if (this.state === state || this.state === 'closed') return
    this.state = state
    this.#arm()
    this.#tell('statechange', { state, error })
  }

  /** Asks the browser to end the session if the page ends without an event. */
  #arm(): void {
    const serves = !this.#away && this.state !== 'standby' && this.state !== 'closed'
    this.#leaveWord(serves ? this.#facts : undefined)
  }

  #tellLife(page: PageLife, of: { left?: boolean; persisted?: boolean } = {}): void {
    this.#give({ type: 'life', page, life: this.#life, ...of })
  }

  /**
   * Holds a lock of the page's own while it is shown or hidden: Chromium 156 freezes no hidden page that holds
   * one, and that of the Worker does not count.
   */
  #hold(): void {
    const held = (): Promise<void> | void => {
      if (!this.#away && !this.#over.signal.aborted)
        return new Promise((resolve) => (this.#letGo = resolve))
    }
    const name = `reversehttp-page-${Math.random()}`
    globalThis.navigator?.locks?.request(name, held).catch(() => {}) // locks may be forbidden, as in a sandbox
  }

  /** Says goodbye from the page: the browser may stop the Worker before it can. */
  #leave(page: 'frozen' | 'gone', persisted: boolean): void {
    if (this.#away) return
    this.#away = true
    this.#letGo()
    this.#life++
    this.#tellLife(page, { left: true, persisted })
    if (this.state !== 'standby') {
      const headers: Record<string, string> = { Authorization: `Bearer ${this.token}` }
      if (!persisted) headers['Prefer'] = 'wait=5'
      const goodbye = { method: 'DELETE', headers, keepalive: true, credentials: 'omit' } as const
      fetch(this.#facts.session, goodbye).catch(() => {})
    }
    this.#turn(page)
  }

  #comeBack(): void {
    if (!this.#away) return
    this.#away = false
    this.#hold()
    this.#life++
    this.#tellLife(visibility(), { left: false })
  }

  #take(message: FromWorker): void {
    switch (message.type) {
      case 'request':
        return void this.#begin(message)
      case 'cancel':
        return this.#running.get(message.id)?.controller.abort(aborted(message.message))
      case 'content':
        return this.#running.get(message.id)?.opened?.(message.content, message.error)
      case 'exchange':
        this.#running.delete(message.end.request.id)
        return this.#tell('exchange', message.end)
      case 'error':
        return this.#report(revive(message.error, this.#Known))
      case 'turned': {
        this.#facts = message.facts
        const error = message.error && revive(message.error, this.#Known)
        if (message.state === 'closed') {
          this.#over.abort()
          this.#settle(error)
        }
        if (!this.#away || message.state === 'closed') this.#turn(message.state, error)
      }
    }
  }

  #report(error: Error): void {
    this.#heard = false
    this.#tell('error', { error, message: error.message })
    const { logger = console } = this.#options
    if (!this.#heard) logger?.error(error)
  }

  async #begin({ envelope, beginBy, life }: FromWorker & { type: 'request' }): Promise<void> {
    const { id } = envelope
    if (Date.now() > beginBy || life !== this.#life) return this.#give({ type: 'late', id })
    this.#give({ type: 'begun', id })
    const x: Running = { controller: new AbortController() }
    this.#running.set(id, x)
    const { signal } = x.controller
    try {
      const open = (): Promise<ReadableStream<Uint8Array>> =>
        new Promise((resolve, reject) => {
          onAbort(signal, () => reject(signal.reason))
          x.opened = (content, error) =>
            content
              ? resolve(new Response(content).body as ReadableStream<Uint8Array>)
              : reject(new TypeError(error))
          this.#give({ type: 'open', id })
        })
      const hints = (headers: Field[]): void => this.#give({ type: 'hints', id, headers })
      const { request, info } = toRequest(envelope, signal, open, hints)
      const response = await this.handler(request, info)
      if (response?.bodyUsed !== false || response.status < 200) throw new TypeError('no Response')
      const { status, body, headers } = response
      const added = info.responseHeaders.map(([name, value]): Field => [`${name}`, `${value}`])
      // Content from fetch is already decoded.
      const decoded = response.type !== 'default' && headers.has('content-encoding')
      const fields = [...headers].filter(
        ([name]) => name !== 'set-cookie' && !(decoded && /^content-(encoding|length)$/.test(name)),
      )
      for (const value of headers.getSetCookie?.() ?? []) added.push(['set-cookie', value])
      const answer = { type: 'answered', id, status, headers: fields, added } as const
      if (!body) this.#give({ ...answer, content: null })
      else if (transfers()) this.#give({ ...answer, content: body }, [body])
      else {
        const content = new Uint8Array(await response.arrayBuffer())
        this.#give({ ...answer, content }, [content.buffer])
      }
    } catch (error) {
      if (signal.aborted) return
      try {
        this.#give({ type: 'failed', id, error })
      } catch {
        // Not an Error, or one that cannot be cloned.
        this.#give({
          type: 'failed',
          id,
          error: new Error(`${(error as Error)?.message ?? error}`),
        })
      }
    }
  }
}

const visibility = (): PageLife => (document.visibilityState === 'visible' ? 'visible' : 'hidden')

const aborted = (message: string): DOMException => new DOMException(message, 'AbortError')

/** Converts the facts of an error to one of the class that the program knows. */
export function revive(
  { message, code, ...facts }: Fault,
  Known: typeof ReverseHttpError,
): ReverseHttpError {
  return new Known(code, message, facts)
}
