/*
 * Exchanges on the handler's side. An exchange begins when its request arrives. It ends when the gateway has
 * judged its answer, when it is cancelled, or when its time is over; until then it is live.
 *
 *   waiting   all places are taken: at most `concurrency` handlers run
 *   running   the handler has it; its place is free again once it settles or its time is over
 *   posting   answered, but the gateway has not confirmed the answer
 *   streaming the beginning is posted or on its way; the parts follow
 *
 * Each id begins once. A request that comes again while its exchange is live, or soon after, is not handled
 * again. If the gateway did not take the answer because the session was lost, the same answer is posted
 * again; a stream cannot be repeated, so a 500 replaces it.
 */
import { onAbort } from './abort.js'
import { failure, toAnswer, type Answer, type Made } from './answer.js'
import { pieceBytes } from './bounds.js'
import { ReverseHttpError } from './error.js'
import { Pause } from './pause.js'
import { remember } from './remember.js'
import { took, type Responder } from './respond.js'
import { toRequest, type Arrived, type Info } from './request.js'
import type { Beside, Message } from './message.js'
import type { Flow, Sending, Session } from './session.js'
import { turn } from './turn.js'
import type { Cancel, Field, Part, ResultStatus } from './envelope.js'

/**
 * Answers requests; README.md lists what a browser's Request and Response cannot carry. A handler that called
 * `info.upgrade` need not return a Response.
 */
export type Handler = (
  request: Request,
  info: Info,
) => Response | undefined | Promise<Response | undefined>

/** What exchanges report to their claim. */
export interface ExchangeEvents {
  error(error: ReverseHttpError): void
  end(of: ExchangeEnd): void
}

/** How an exchange ended, as far as this program knows. */
export interface ExchangeEnd {
  /** The request as the gateway delivered it. Content beside it is in `content`. */
  request: Arrived
  /**
   * The newest answer that was posted, or its beginning, with its `content` as bytes; undefined if the
   * visitor did not wait for one.
   */
  response: Answer | undefined
  /** The gateway's result for it; undefined if there was none in time. */
  result: ResultStatus | undefined
  /** How long the handler took to return its Response, in milliseconds. */
  durationMs: number
}

interface Live {
  controller: AbortController
  /** Its request came again meanwhile. */
  again: boolean
  /** How many messages of its answer the gateway has. */
  seq: number
  /** The session that delivered its request. */
  by: Session
  /** Closes the request for its content, if there was one. */
  close?(): void
  /** Closes the upgraded connection, because the gateway stops. */
  leave?(): void
}

/** The exchanges of one claim. */
export interface Exchanges {
  /** Takes one message of a poll. Skips messages of an unknown type, and values that are not messages. */
  take(message: Arrived | Cancel | undefined): void
  /** Waits until none is live, at most `ms`. */
  drain(ms: number): Promise<void>
  /** Cancels the live ones, and stops waiting. */
  stop(): void
}

/** Runs the handler for the requests of one claim. */
export function exchanges(
  by: { handler: Handler },
  concurrency: number,
  responder: Responder,
  closing: AbortSignal,
  events: ExchangeEvents,
): Exchanges {
  const live = new Map<string, Live>()
  /** The newest finished exchanges, with the answers that a lost session could not deliver. */
  const over = new Map<string, Answer | undefined>()
  const queue: (() => void)[] = []
  const idle = new Pause()
  let running = 0
  return { take, drain, stop }

  function take(message: Arrived | Cancel | undefined): void {
    if (message?.type === 'request') void begin(message)
    else if (message?.type === 'cancel') {
      const x = live.get(message.id)
      if (message.reason === 'draining') x?.leave?.()
      else x?.controller.abort(reason(message.reason))
    }
  }

  async function drain(ms: number): Promise<void> {
    if (live.size) await idle.wait(ms)
  }

  function stop(): void {
    for (const { controller } of live.values()) controller.abort(reason('closed'))
    for (const start of queue.splice(0)) start()
  }

  async function begin(request: Arrived): Promise<void> {
    const { id, timeoutMs } = request
    const same = live.get(id)
    const { current: session } = responder
    if (same) {
      same.again = true
      same.by = session
    }
    const untaken = over.get(id)
    if (same || (over.has(id) && !untaken)) return
    const sinceMs = performance.now()
    const deadlineMs = sinceMs + timeoutMs
    const x: Live = { controller: new AbortController(), again: false, seq: 0, by: session }
    live.set(id, x)
    const made = untaken ? { answer: untaken } : await inTurn(request, x)
    const durationMs = performance.now() - sinceMs
    let response = made?.answer
    let result: ResultStatus | undefined
    remember(over, id, undefined)
    if (made) {
      const failed = failure(id, request.method)
      result = await send(made, x, deadlineMs, request)
      if (result === 'unknown') {
        over.set(id, made.content ? failed : made.answer)
      }
      if (result === 'invalid') {
        const better = x.seq ? ({ type: 'abort', id } as const) : (response = failed)
        result = await post(better, x, Infinity)
      }
    }
    live.delete(id)
    // Unread content holds a connection.
    x.close?.()
    events.end({ request, response, result, durationMs })
    if (!live.size) idle.end()
  }

  /** Waits for a place, then for the handler; no longer than the visitor waits. */
  async function inTurn(request: Arrived, x: Live): Promise<Made | undefined> {
    const { controller } = x
    let timer!: ReturnType<typeof setTimeout> & { unref?(): void }
    const expired = new Promise<void>((resolve) => (timer = setTimeout(resolve, request.timeoutMs)))
    void expired.then(() => controller.abort(reason('timed_out')))
    // A handler that never settles must not keep Node running.
    timer.unref?.()
    let end!: () => void
    const cancelled = new Promise<undefined>((resolve) => {
      end = onAbort(controller.signal, () => resolve(undefined))
    })
    if (running < concurrency) running++
    else await new Promise<void>((start) => queue.push(start))
    const handled = handle(request, x)
    // A handler that never settles must not keep its place for ever. The next one begins in a later turn,
    // after this one's answer was sent.
    void Promise.race([handled, expired]).then(async () => {
      clearTimeout(timer)
      if (queue.length) await turn()
      const next = queue.shift()
      if (next) next()
      else running--
    })
    return Promise.race([handled, cancelled]).finally(end)
  }

  /** Runs the handler. There is always an answer, unless nobody waits for it. */
  async function handle(envelope: Arrived, x: Live): Promise<Made | undefined> {
    const { id, method, timeoutMs, upgrade } = envelope
    const { controller } = x
    const { signal } = controller
    const upgrading = upgrade && (await import('./websocket.js').catch(() => undefined))
    if (signal.aborted) return undefined
    let made
    try {
      made = toRequest(
        envelope,
        signal,
        async (url) =>
          (await responder.current.call<ReadableStream<Uint8Array>>('GET', url, {
            signal,
            waitMs: timeoutMs,
            take: (r, close) => {
              x.close = close
              if (live.get(id) !== x) close()
              return r.body
            },
          }))!,
        // A copy, so that the answer still reveals whether the request came again.
        (headers: Field[]) =>
          void post(
            { type: 'interim', id, status: 103, headers },
            { ...x },
            performance.now() + timeoutMs,
            envelope,
          ),
      )
      const { request, info } = made
      const answer = () => by.handler(request, info)
      const response = await (upgrading ? upgrading.offer(info, answer, x, closing) : answer())
      return (response as Made)?.answer
        ? (response as Made)
        : await toAnswer(
            id,
            method,
            response as Response,
            info.responseHeaders,
            signal,
            responder.current.streams,
          )
    } catch (cause) {
      // A handler may reject after it is cancelled.
      if (signal.aborted) return undefined
      if (!made) return { answer: failure(id, method, 400) }
      report('handler_failed', envelope, cause)
      return { answer: failure(id, method, upgrade && !upgrading ? 501 : 500) }
    }
  }

  function report(code: string, { method, target, trace }: Arrived, cause: unknown): void {
    const text = `${method} ${target}: ${(cause as Error)?.message ?? cause}`
    events.error(new ReverseHttpError(code, text, { cause, trace }))
  }

  /** Posts an answer, whole or as a stream. `invalid` means that another answer is needed. */
  async function send(
    { answer, content }: Made,
    x: Live,
    deadlineMs: number,
    request: Arrived,
  ): Promise<ResultStatus | undefined> {
    if (!content) return post(answer, x, deadlineMs, request)
    const { controller } = x
    const { id } = request
    const { current: session } = responder
    const { signal } = controller
    const { partBytes, batch } = session.claimed.limits
    let result: ResultStatus | undefined
    const judge = (said: ResultStatus | undefined): void => {
      if (result && !took(result)) return
      result = said
      if (!took(said)) controller.abort(reason(said ?? 'timed_out'))
    }
    const of: Sending = {
      session,
      request,
      answer,
      signal,
      report,
      x,
      judge,
      // Messages after a faulty head are faulty too; the fault is reported once.
      push: (message, flow) => post(message, x, signal, message === answer && request, flow),
      // As messages: the beginning with the first, then parts.
      part: async (piece, more, taken) => {
        const messages: Message[] = []
        let at = 0
        do {
          const seq = x.seq + messages.length
          const message: (Part & Beside) | Answer = seq ? { type: 'part', id, seq } : answer
          const content = (piece as Uint8Array<ArrayBuffer>).subarray(at, (at += partBytes))
          if (content.length) message.content = content
          if (more || at < (piece as Uint8Array).length) message.more = true
          messages.push(message)
        } while (at < (piece as Uint8Array).length)
        // A part has no deadline: the gateway delays the 202 while the visitor is slow.
        const said = await post(messages, x, x.seq ? signal : deadlineMs, request)
        if (took(said)) x.seq += messages.length
        taken?.()
        return said
      },
    }
    const settled = session.streams?.flowing(of)
    try {
      await content.pour(
        partBytes,
        async (...piece) => judge(await of.part(...piece)),
        () => (session.framed && !session.narrow ? Math.min(pieceBytes, partBytes * batch) : 0),
      )
    } catch (cause) {
      await settled?.()
      if (signal.aborted) return result
      report('handler_failed', request, cause)
      // Its sender must not wait for more.
      controller.abort(cause)
      return 'invalid'
    }
    return result
  }

  /**
   * Posts messages. Reports faults that the gateway finds in a handler's answer, and fields that it leaves
   * out.
   */
  async function post(
    message: Message | Message[],
    x: Live,
    until: number | AbortSignal,
    request?: Arrived | false,
    flow?: Flow,
  ): Promise<ResultStatus | undefined> {
    let result
    do {
      x.again = false
      result = await responder.push(message, until, flow)
      // The session was not responsible for it when it was answered, but became so meanwhile.
    } while (result?.status === 'unknown' && x.again)
    if (result?.detail && request) {
      report('invalid', request, `${result.detail} ${result.pointer ?? ''}`.trim())
    }
    return result?.status
  }
}

function reason(why: string): DOMException {
  return new DOMException(why, why === 'timed_out' ? 'TimeoutError' : 'AbortError')
}
