/*
 * Exchanges on the side of the handler. One begins when its request comes and ends when the gateway
 * has judged its answer, when it is cancelled, or when its time is over; until then it is live.
 *
 *   waiting   all places are taken: at most `concurrency` handlers run
 *   running   the handler has it; its place is free again once it settles or its time is over
 *   posting   answered, and the gateway does not know yet
 *
 * An id is begun once. One that comes again while live, or soon after, is not handled again; where
 * the gateway did not take its answer from a session that was lost, the same answer is posted again.
 */
import { failure, toAnswer } from './answer.js'
import { ReverseHttpError } from './error.js'
import type { Responder } from './respond.js'
import { toRequest, type Info } from './request.js'
import type {
  Cancel,
  Request as RequestEnvelope,
  Response as Answer,
  ResultStatus,
} from './envelope.js'

/** Answers requests; see README.md for what a browser's Request and Response cannot carry. */
export type Handler = (request: Request, info: Info) => Response | Promise<Response>

/** What exchanges tell their claim. */
export interface ExchangeEvents {
  error(error: ReverseHttpError): void
  exchange(of: ExchangeEnd): void
}

/** How an exchange ended, as far as this program knows. */
export interface ExchangeEnd {
  /** The request, as the gateway gave it. */
  request: RequestEnvelope
  /** The answer that was posted last; undefined where the visitor did not wait for one. */
  response: Answer | undefined
  /** What the gateway said to it; undefined where it said nothing in time. */
  result: ResultStatus | undefined
  /** How long the handler took, in milliseconds. */
  durationMs: number
}

/** An answer that a lost session could not deliver. */
interface Untaken {
  answer: Answer
  deadlineMs: number
}

interface Live {
  controller: AbortController
  /** Its request came again meanwhile. */
  again: boolean
}

const mostRemembered = 4096

/** Runs the handler for the requests of one claim. */
export class Exchanges {
  readonly #handler: Handler
  readonly #concurrency: number
  readonly #responder: Responder
  readonly #events: ExchangeEvents
  readonly #live = new Map<string, Live>()
  readonly #ended = new Set<string>()
  readonly #untaken = new Map<string, Untaken>()
  readonly #timers = new Set<ReturnType<typeof setTimeout>>()
  readonly #queue: (() => void)[] = []
  #running = 0
  #idle: (() => void) | undefined

  constructor(handler: Handler, concurrency: number, responder: Responder, events: ExchangeEvents) {
    this.#handler = handler
    this.#concurrency = concurrency
    this.#responder = responder
    this.#events = events
  }

  /** Takes one message of a poll. */
  take(message: RequestEnvelope | Cancel): void {
    if (message.type === 'request') void this.#begin(message)
    else if (message.type === 'cancel')
      this.#live.get(message.id)?.controller.abort(reason(message.reason))
  }

  /** Waits until none is live, at most so long. */
  async drain(ms: number): Promise<void> {
    if (!this.#live.size) return
    let timer
    await new Promise<void>((idle) => {
      this.#idle = idle
      timer = setTimeout(idle, ms)
    })
    clearTimeout(timer)
  }

  /** Cancels what is live, and waits for nothing any more. */
  stop(): void {
    for (const { controller } of this.#live.values()) controller.abort(reason('closed'))
    for (const timer of this.#timers) clearTimeout(timer)
    for (const start of this.#queue.splice(0)) start()
  }

  async #begin(request: RequestEnvelope): Promise<void> {
    const { id, timeoutMs } = request
    const running = this.#live.get(id)
    if (running) running.again = true
    let response = this.#untaken.get(id)?.answer
    if (running || (this.#ended.has(id) && !response)) return
    const sinceMs = performance.now()
    const deadlineMs = sinceMs + timeoutMs
    const live = { controller: new AbortController(), again: false }
    this.#live.set(id, live)
    response ??= await this.#inTurn(request, live.controller)
    const durationMs = performance.now() - sinceMs
    let result: ResultStatus | undefined
    this.#remember(id)
    if (response) {
      result = await this.#post(response, live, deadlineMs, request)
      if (result === 'unknown') this.#untaken.set(id, { answer: response, deadlineMs })
      if (result === 'invalid') {
        response = failure(id, request.method, 500, 'Internal Server Error')
        result = await this.#post(response, live, deadlineMs)
      }
    }
    this.#live.delete(id)
    this.#events.exchange({ request, response, result, durationMs })
    if (!this.#live.size) this.#idle?.()
  }

  /** Waits for a place, then for the handler; not longer than the visitor does. */
  async #inTurn(
    request: RequestEnvelope,
    controller: AbortController,
  ): Promise<Answer | undefined> {
    const { signal } = controller
    let expire: (() => void) | undefined
    const expired = new Promise<void>((resolve) => (expire = resolve))
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      controller.abort(reason('timed_out'))
      expire?.()
    }, request.timeoutMs)
    this.#timers.add(timer)
    const over = new Promise<undefined>((resolve) =>
      signal.addEventListener('abort', () => resolve(undefined)),
    )
    if (this.#running < this.#concurrency) this.#running++
    else await new Promise<void>((start) => this.#queue.push(start))
    const handled = signal.aborted ? Promise.resolve(undefined) : this.#handle(request, signal)
    // A handler that never settles must not keep its place for ever.
    void Promise.race([handled, expired]).then(() => {
      clearTimeout(timer)
      this.#timers.delete(timer)
      const next = this.#queue.shift()
      if (next) next()
      else this.#running--
    })
    return Promise.race([handled, over])
  }

  /** Runs the handler. Whatever it does, there is an answer; none where nobody waits for it. */
  async #handle(envelope: RequestEnvelope, signal: AbortSignal): Promise<Answer | undefined> {
    const { id, method } = envelope
    let made
    try {
      made = toRequest(envelope, signal)
    } catch {
      return failure(id, method, 400, 'Bad Request')
    }
    const { request, info } = made
    try {
      const response = await this.#handler(request, info)
      return await toAnswer(id, method, response, info.responseHeaders)
    } catch (cause) {
      // A handler that gives up when it is cancelled did right.
      if (signal.aborted) return undefined
      const text = `${method} ${envelope.target}: ${cause instanceof Error ? cause.message : cause}`
      this.#events.error(new ReverseHttpError('handler_failed', text, { cause }))
      return failure(id, method, 500, 'Internal Server Error')
    }
  }

  /** Posts an answer, and reports the fault that the gateway finds in a handler's. */
  async #post(
    answer: Answer,
    live: Live,
    deadlineMs: number,
    { method, target }: Partial<RequestEnvelope> = {},
  ): Promise<ResultStatus | undefined> {
    let result
    do {
      live.again = false
      result = await this.#responder.push(answer, deadlineMs)
      // It was not this session's yet when it was answered, and became so meanwhile.
    } while (result?.status === 'unknown' && live.again)
    if (result?.status === 'invalid' && method) {
      const text = `${method} ${target}: ${result.detail} ${result.pointer ?? ''}`.trim()
      this.#events.error(new ReverseHttpError('invalid', text))
    }
    return result?.status
  }

  #remember(id: string): void {
    this.#untaken.delete(id)
    for (const [old, { deadlineMs }] of this.#untaken) {
      if (deadlineMs < performance.now()) this.#untaken.delete(old)
    }
    this.#ended.add(id)
    for (const oldest of this.#ended) {
      if (this.#ended.size > mostRemembered) this.#ended.delete(oldest)
      else break
    }
  }
}

function reason(why: string): DOMException {
  return new DOMException(
    `the exchange is over: ${why}`,
    why === 'timed_out' ? 'TimeoutError' : 'AbortError',
  )
}
