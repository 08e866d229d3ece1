/*
 * Exchanges on the side of the handler. One begins when its request comes and ends when the gateway
 * has judged its answer, when it is cancelled, or when its time is over; until then it is live.
 *
 *   waiting   all places are taken: at most `concurrency` handlers run
 *   running   the handler has it; its place is free again once it settles or its time is over
 *   posting   answered, and the gateway does not know yet
 *   streaming the beginning is posted, or on its way; part by part follows
 *
 * An id is begun once. One that comes again while live, or soon after, is not handled again; where
 * the gateway did not take its answer from a session that was lost, the same answer is posted again;
 * a stream cannot be had again, so a 500 is posted in its place.
 */
import { failure, toAnswer, write, type Made } from './answer.js'
import { ReverseHttpError } from './error.js'
import { Pause } from './pause.js'
import type { Message, Responder } from './respond.js'
import { toRequest, type Info } from './request.js'
import type {
  Cancel,
  Part,
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
  /** The answer that was posted last, or its beginning; undefined where the visitor did not wait for one. */
  response: Answer | undefined
  /** What the gateway said to it; undefined where it said nothing in time. */
  result: ResultStatus | undefined
  /** How long the handler took to give its Response, in milliseconds. */
  durationMs: number
}

interface Live {
  controller: AbortController
  /** Its request came again meanwhile. */
  again: boolean
  /** How many messages of its answer the gateway has. */
  seq: number
}

const mostRemembered = 4096

/** Runs the handler for the requests of one claim. */
export class Exchanges {
  readonly #handler: Handler
  readonly #concurrency: number
  readonly #responder: Responder
  readonly #events: ExchangeEvents
  readonly #live = new Map<string, Live>()
  /** The newest that are over, with the answers that a lost session could not deliver. */
  readonly #ended = new Map<string, Answer | undefined>()
  readonly #queue: (() => void)[] = []
  readonly #idle = new Pause()
  #running = 0

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
    if (this.#live.size) await this.#idle.wait(ms)
  }

  /** Cancels what is live, and waits for nothing any more. */
  stop(): void {
    for (const { controller } of this.#live.values()) controller.abort(reason('closed'))
    for (const start of this.#queue.splice(0)) start()
  }

  async #begin(request: RequestEnvelope): Promise<void> {
    const { id, timeoutMs } = request
    const running = this.#live.get(id)
    if (running) running.again = true
    const untaken = this.#ended.get(id)
    if (running || (this.#ended.has(id) && !untaken)) return
    const sinceMs = performance.now()
    const deadlineMs = sinceMs + timeoutMs
    const live = { controller: new AbortController(), again: false, seq: 0 }
    this.#live.set(id, live)
    const made = untaken ? { answer: untaken } : await this.#inTurn(request, live.controller)
    const durationMs = performance.now() - sinceMs
    let response = made?.answer
    let result: ResultStatus | undefined
    this.#remember(id)
    if (made) {
      const failed = failure(id, request.method, 500, 'Internal Server Error')
      result = await this.#send(made, live, deadlineMs, request)
      if (result === 'unknown') {
        this.#ended.set(id, made.content ? failed : made.answer)
      }
      if (result === 'invalid') {
        if (!live.seq) response = failed
        result = await this.#post(live.seq ? { type: 'abort', id } : failed, live, Infinity)
      }
    }
    this.#live.delete(id)
    this.#events.exchange({ request, response, result, durationMs })
    if (!this.#live.size) this.#idle.end()
  }

  /** Waits for a place, then for the handler; not longer than the visitor does. */
  async #inTurn(request: RequestEnvelope, controller: AbortController): Promise<Made | undefined> {
    const { signal } = controller
    let timer!: ReturnType<typeof setTimeout> & { unref?(): void }
    const expired = new Promise<void>((resolve) => (timer = setTimeout(resolve, request.timeoutMs)))
    void expired.then(() => controller.abort(reason('timed_out')))
    // A handler that never settles must not keep Node from its end.
    timer.unref?.()
    const over = new Promise<undefined>((resolve) =>
      signal.addEventListener('abort', () => resolve(undefined)),
    )
    if (this.#running < this.#concurrency) this.#running++
    else await new Promise<void>((start) => this.#queue.push(start))
    const handled = this.#handle(request, signal)
    // A handler that never settles must not keep its place for ever.
    void Promise.race([handled, expired]).then(() => {
      clearTimeout(timer)
      const next = this.#queue.shift()
      if (next) next()
      else this.#running--
    })
    return Promise.race([handled, over])
  }

  /** Runs the handler. Whatever it does, there is an answer; none where nobody waits for it. */
  async #handle(envelope: RequestEnvelope, signal: AbortSignal): Promise<Made | undefined> {
    if (signal.aborted) return undefined
    const { id, method, timeoutMs } = envelope
    let info
    try {
      const made = toRequest(envelope, signal, (url) =>
        this.#responder.session.content(url, timeoutMs, signal),
      )
      info = made.info
      const response = await this.#handler(made.request, info)
      return await toAnswer(id, method, response, info.responseHeaders, signal)
    } catch (cause) {
      // A handler that gives up when it is cancelled did right.
      if (signal.aborted) return undefined
      if (!info) return { answer: failure(id, method, 400, 'Bad Request') }
      this.#report('handler_failed', envelope, cause)
      return { answer: failure(id, method, 500, 'Internal Server Error') }
    }
  }

  #report(code: string, { method, target }: RequestEnvelope, cause: unknown): void {
    const text = `${method} ${target}: ${(cause as Error)?.message ?? cause}`
    this.#events.error(new ReverseHttpError(code, text, { cause }))
  }

  /** Posts an answer, whole or as it comes. `invalid` means that it must be answered otherwise. */
  async #send(
    { answer, content }: Made,
    live: Live,
    deadlineMs: number,
    request: RequestEnvelope,
  ): Promise<ResultStatus | undefined> {
    if (!content) return this.#post(answer, live, deadlineMs, request)
    const { controller } = live
    const { id } = request
    let result: ResultStatus | undefined
    try {
      await content.pour(this.#responder.session.claimed.limits.partBytes, async (piece, more) => {
        const { seq } = live
        const message = seq ? ({ type: 'part', id, seq } as Part) : answer
        if (more) message.more = true
        write(message, piece)
        // A part has no time of its own: while the visitor is slow its 202 is held back.
        result = await this.#post(message, live, seq ? controller.signal : deadlineMs, request)
        if (result === 'accepted' || result === 'duplicate') live.seq++
        else controller.abort(reason(result ?? 'timed_out'))
      })
    } catch (cause) {
      if (controller.signal.aborted) return result
      this.#report('handler_failed', request, cause)
      return 'invalid'
    }
    return result
  }

  /** Posts a message, and reports the fault that the gateway finds in a handler's. */
  async #post(
    message: Message,
    live: Live,
    until: number | AbortSignal,
    request?: RequestEnvelope,
  ): Promise<ResultStatus | undefined> {
    let result
    do {
      live.again = false
      result = await this.#responder.push(message, until)
      // It was not this session's yet when it was answered, and became so meanwhile.
    } while (result?.status === 'unknown' && live.again)
    if (result?.status === 'invalid' && request) {
      this.#report('invalid', request, `${result.detail} ${result.pointer ?? ''}`.trim())
    }
    return result?.status
  }

  #remember(id: string): void {
    this.#ended.delete(id)
    this.#ended.set(id, undefined)
    const [oldest] = this.#ended.keys()
    if (this.#ended.size > mostRemembered) this.#ended.delete(oldest!)
  }
}

function reason(why: string): DOMException {
  return new DOMException(
    `exchange over: ${why}`,
    why === 'timed_out' ? 'TimeoutError' : 'AbortError',
  )
}
