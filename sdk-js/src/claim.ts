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
 * `online`: the gateway answers and visitors reach the handler. `reconnecting`: it does not answer, or the
 * session is over; the SDK reconnects by itself. `standby`: another tab of this origin serves the claim, and
 * this one takes over when that tab closes. `closed`: over for good.
 */
export type State = 'online' | 'reconnecting' | 'standby' | 'closed'

/** The state of a claim changed. */
export interface StateChangeEvent extends Event {
  /** The state from now on. */
  readonly state: State
  /** Why the claim is not online; undefined if nothing failed. */
  readonly error: ReverseHttpError | undefined
}

/**
 * A handler failed, its answer was refused, or the claim was lost. Without a listener the logger gets the
 * error.
 */
export interface ClaimErrorEvent extends Event {
  /** What went wrong; its `code` says which of these it is. */
  readonly error: ReverseHttpError
  /** The message of the error, as an ErrorEvent has it. */
  readonly message: string
}

/** An exchange ended. */
export interface ExchangeEvent extends Event, ExchangeEnd {}

/** The events of a claim. */
export interface ClaimEventMap {
  /** After every change of `state`. */
  statechange: StateChangeEvent
  /** After every error; the claim goes on unless its state is `closed`. */
  error: ClaimErrorEvent
  /** After every exchange, answered or not. */
  exchange: ExchangeEvent
}

type Listening = Parameters<EventTarget['addEventListener']>

/** A label on a gateway, served by this program. `serve` returns it. */
export class Claim extends EventTarget {
  /**
   * Resolves once the claim is closed on purpose; rejects with a ReverseHttpError if it was lost. Handling it
   * is optional: the error event, the logger and the state report the same.
   */
  declare readonly closed: Promise<void>
  /** What the claim does now. `online` at first. */
  readonly state: State = 'online'
  /** @internal Answers requests; a replacement answers those that arrive after it is set. */
  declare handler: Handler
  readonly #poller: Poller
  readonly #exchanges: Exchanges
  readonly #responder: Responder
  readonly #memory: Memory
  readonly #options: ServeOptions
  /** The wrapper of each error listener. */
  readonly #listeners = new WeakMap<object, EventListener>()
  /** Whether a listener took the error. */
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

  /** The secret that owns the claim. Anyone who has it can take the label. */
  get token(): string {
    return this.#poller.current.claimed.token
  }

  /**
   * The state of the option `domain` after the newest claim request: its URL, or the record that proves
   * ownership.
   */
  get domain(): Pick<ClaimAnswer, 'domainUrl' | 'domainRecord' | 'domainValue' | 'domainProblem'> {
    return this.#poller.current.claimed
  }

  /** The URL of the recorded exchanges, for the option `inspect`; undefined if nothing is recorded. */
  get exchanges(): string | undefined {
    return this.#poller.current.claimed.exchanges
  }

  /**
   * Stops serving: accepts no new requests, gives running handlers `drainMs` to answer, and ends the session.
   * The claim lives on for its lease, and its token can reclaim it. Never rejects, and may be called again.
   */
  close(): Promise<void> {
    return this.#end()
  }

  /**
   * Waits for one GET or POST to a path, such as a redirect of OAuth, and answers it with a page that can be
   * closed. From the first wait on, the path no longer reaches the handler: requests before and after the
   * awaited one get 404.
   */
  waitFor(...of: [path: string, options?: WaitOptions]): Promise<Request> {
    return import('./wait.js').then((m) => m.waitFor(this, ...of))
  }

  /** Closes, and deletes the claim: all its sessions, and the hold on its label. */
  async delete(): Promise<void> {
    await this.close()
    this.#memory.forget()
    const { current: session } = this.#poller
    await session.call('DELETE', session.claimed.claim)
  }

  /** Closes at the end of an `await using` block. */
  // In an engine without the symbol this becomes a method with a useless name, not an error.
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Adds a listener. While there is one for `error`, the logger gets no errors that it took. */
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

  /** Removes a listener. */
  override removeEventListener(...[type, listener, options]: Listening): void {
    super.removeEventListener(type, this.#noting(type, listener), options)
  }

  /** Wraps an error listener to note that it was called: no platform reveals whether there is one. */
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
    // If this fails, the gateway notices that the polls have ended.
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
    // Send the answers that could not be delivered meanwhile.
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
