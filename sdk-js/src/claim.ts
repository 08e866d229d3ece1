/// <reference lib="esnext.disposable" preserve="true" />
import { onAbort } from './abort.js'
import { defaultConcurrency, defaultDrainMs } from './bounds.js'
import { exchanges, type ExchangeEnd, type Exchanges, type Handler } from './exchange.js'
import { Poller } from './poll.js'
import { Responder } from './respond.js'
import type { ReverseHttpError } from './error.js'
import type { Claiming, Wish } from './gateway.js'
import type { ServeOptions } from './options.js'
import type { Session } from './session.js'
import type { Memory } from './storage.js'
import type { WaitOptions } from './wait.js'
import type { ClaimAnswer } from './envelope.js'

/**
 * `online`: the gateway answers and visitors reach the handler. `reconnecting`: it does not, or the
 * session is over; the SDK comes back by itself. `standby`: another tab of this origin serves the claim, and
 * this one takes over when it goes. `closed`: over, for ever.
 */
export type State = 'online' | 'reconnecting' | 'standby' | 'closed'

/** The state of a claim changed. */
export interface StateChangeEvent extends Event {
  readonly state: State
  /** Why it is not online; undefined where nothing failed. */
  readonly error: ReverseHttpError | undefined
}

/** A handler failed, its answer was refused, or the claim was lost. Without a listener the logger is told. */
export interface ClaimErrorEvent extends Event {
  readonly error: ReverseHttpError
  readonly message: string
}

/** An exchange ended. */
export interface ExchangeEvent extends Event, ExchangeEnd {}

/** The events of a claim. */
export interface ClaimEventMap {
  statechange: StateChangeEvent
  error: ClaimErrorEvent
  exchange: ExchangeEvent
}

type Listening = Parameters<EventTarget['addEventListener']>

/** A label on a gateway, served by this program. `serve` makes one. */
export class Claim extends EventTarget {
  /**
   * Resolves once the claim is closed because somebody wanted it; rejects with a ReverseHttpError
   * when it was lost. Nobody has to listen: the error event, the logger and the state tell the same.
   */
  declare readonly closed: Promise<void>
  readonly state: State = 'online'
  /** @internal Answers requests; what is set in its place answers those that come from then on. */
  declare handler: Handler
  readonly #poller: Poller
  readonly #exchanges: Exchanges
  readonly #responder: Responder
  readonly #memory: Memory
  readonly #options: ServeOptions
  /** What stands for each listener of errors. */
  readonly #listeners = new WeakMap<object, EventListener>()
  /** A listener took the error. */
  #heard: boolean | undefined
  readonly #polling: Promise<void>
  readonly #over = new AbortController()
  #ending: Promise<void> | undefined
  #settle!: (error?: ReverseHttpError) => void

  /** @internal */
  constructor(
    handler: Handler,
    claiming: Claiming,
    session: Session,
    wish: Wish,
    memory: Memory,
    options: ServeOptions,
  ) {
    super()
    this.handler = handler
    const { concurrency = defaultConcurrency, signal } = options
    this.#memory = memory
    this.#options = options
    this.closed = new Promise((resolve, reject) => {
      this.#settle = (error) => (error ? reject(error) : resolve())
    })
    this.closed.catch(() => {})
    this.#poller = new Poller(claiming, session, wish, {
      message: (message) => this.#exchanges.take(message),
      session: () => this.#responder.wake(),
      back: () => this.#responder.resend(),
      state: (state, error) => this.#turn(state, error),
      end: (error) => void this.#end(error),
    })
    this.#responder = new Responder(this.#poller)
    this.#exchanges = exchanges(this, concurrency, this.#responder, this.#over.signal, {
      error: (error) => this.#report(error),
      end: (end) => this.#tell('exchange', end),
    })
    void session.ways.page?.then((page) => page?.followPage(this.#poller, this.#over.signal))
    this.#polling = this.#poller.run()
    const end = onAbort(signal, () => void this.close())
    onAbort(this.#over.signal, end)
  }

  /** The label. */
  get label(): string {
    return this.#poller.current.claimed.label
  }

  /** The public URL, with a final slash. */
  get url(): string {
    return this.#poller.current.claimed.url
  }

  /** The secret that owns the claim. Whoever has it can take the label. */
  get token(): string {
    return this.#poller.current.claimed.token
  }

  /** The state of the option `domain` at the last claiming: its URL, or the record that proves ownership. */
  get domain(): Pick<ClaimAnswer, 'domainUrl' | 'domainRecord' | 'domainValue' | 'domainProblem'> {
    return this.#poller.current.claimed
  }

  /** The URL of what the gateway recorded, for the option `inspect`; undefined where it records nothing. */
  get exchanges(): string | undefined {
    return this.#poller.current.claimed.exchanges
  }

  /**
   * Stops serving: takes no new requests, lets running handlers answer for `drainMs`, and ends the
   * session. The claim lives on for its lease, and with its token it can be taken back.
   * Never rejects, and may be called again.
   */
  close(): Promise<void> {
    return this.#end()
  }

  /**
   * Waits for one GET or POST of a path, such as a redirect of OAuth, and answers it with a page that can be closed. From
   * the first wait on the path is not the handler's any more: what comes before or after the one gets 404.
   */
  waitFor(...of: [path: string, options?: WaitOptions]): Promise<Request> {
    return import('./wait.js').then((m) => m.waitFor(this, ...of))
  }

  /** Closes, and ends the claim itself: every session of it, and the hold on its label. */
  async delete(): Promise<void> {
    await this.close()
    this.#memory.forget()
    const { current: session } = this.#poller
    await session.call('DELETE', session.claimed.claim)
  }

  /** Closes at the end of an `await using` block. */
  // In an engine without the symbol this is a method of no use, not an error.
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  override addEventListener<K extends keyof ClaimEventMap>(
    type: K,
    listener: (this: Claim, event: ClaimEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void
  override addEventListener(...[type, listener, options]: Listening): void {
    super.addEventListener(type, this.#noting(type, listener), options)
  }

  override removeEventListener(...[type, listener, options]: Listening): void {
    super.removeEventListener(type, this.#noting(type, listener), options)
  }

  /** A listener of errors that leaves a note that it was called: no platform tells whether there is one. */
  #noting(type: string, listener: Listening[1]): Listening[1] {
    if (type !== 'error' || !listener) return listener
    const noting: EventListener =
      this.#listeners.get(listener) ??
      ((event) => {
        this.#heard = true
        if ((listener as EventListenerObject).handleEvent)
          (listener as EventListenerObject).handleEvent(event)
        else (listener as EventListener).call(this, event)
      })
    this.#listeners.set(listener, noting)
    return noting
  }

  #end(error?: ReverseHttpError): Promise<void> {
    return (this.#ending ??= this.#finish(error))
  }

  async #finish(error?: ReverseHttpError): Promise<void> {
    this.#over.abort()
    this.#poller.stop()
    await this.#polling
    const { current: session } = this.#poller
    if (error) session.ended = true
    await this.#exchanges.drain(this.#options.drainMs ?? defaultDrainMs)
    this.#exchanges.stop()
    this.#responder.stop()
    // What cannot be told the gateway finds out: nobody polls any more.
    if (!session.ended) await session.end().catch(() => {})
    this.#memory.release()
    if (error) this.#report(error)
    this.#settle(error)
    this.#turn('closed', error)
  }

  #turn(state: State, error?: ReverseHttpError): void {
    const said: { state: State } = this
    if (said.state === state || said.state === 'closed') return
    said.state = state
    // What could not be answered meanwhile can be now.
    if (state === 'online') this.#responder.wake()
    this.#tell('statechange', { state, error })
  }

  #report(error: ReverseHttpError): void {
    this.#heard = false
    this.#tell('error', { error, message: error.message })
    const { logger = console } = this.#options
    if (!this.#heard) logger?.error(error)
  }

  #tell(type: string, members: object): void {
    this.dispatchEvent(Object.assign(new Event(type), members))
  }
}
