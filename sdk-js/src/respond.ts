import { onAbort } from './abort.js'
import { write } from './answer.js'
import { Backoff } from './backoff.js'
import { characterBytes, frameBytes, longMs, mostGroups, mostTogether } from './bounds.js'
import { Pause } from './pause.js'
import { over, refused, type ReverseHttpError } from './error.js'
import type { Message } from './message.js'
import type { Flow, Sendable, Session } from './session.js'
import type { Part, Result, Results, ResultStatus } from './envelope.js'

/** What posting answers needs, and reports. */
export interface RespondEvents {
  /** The session to answer through: the newest, since an exchange may have moved to it. */
  readonly current: Session
  /** The gateway refuses the answers of this session. */
  lose(session: Session, error: ReverseHttpError): void
}

/** The gateway's result for a message. */
export type Judged = Omit<Result, 'id'>

/** Reports whether the gateway accepted it. */
export function took(result: ResultStatus | undefined): boolean {
  return result === 'accepted' || result === 'duplicate'
}

/** A message that waits for its result. */
class Waiting implements Sendable {
  declare readonly deadlineMs: number
  declare readonly settle: (result: Judged | undefined) => void
  declare readonly content: Uint8Array | undefined
  declare readonly message: Message
  #line = ''
  #beside: boolean | undefined

  constructor(message: Message, deadlineMs: number, settle: Waiting['settle']) {
    ;({ content: this.content, ...this.message } = message)
    this.deadlineMs = deadlineMs
    this.settle = settle
  }

  /** Its JSON, with its content, or for content beside it. */
  line(beside: boolean): string {
    const { content } = this
    if (beside !== this.#beside) {
      const message = { ...this.message } as Part
      if (content && beside) message.contentLength = content.length
      else if (content) write(message, content)
      this.#line = JSON.stringify(message)
      this.#beside = beside
    }
    return this.#line
  }
}

// A browser has six connections to an origin that speaks HTTP/1.1; polls and content need some.
const mostOpen = globalThis.location ? 2 : Infinity

/**
 * Sends answers by the link, or posts them, one POST at a time. Answers that become ready meanwhile go
 * together in the next POST, or beside one that takes long, because it is large or because this program is
 * too busy to see its answer. A streamed answer has its own POST, since the gateway delays its 202 while a
 * visitor is slow. A failed POST is repeated unchanged until nobody waits for its result.
 */
export class Responder {
  readonly #events: RespondEvents
  readonly #pause = new Pause()
  readonly #stop = new AbortController()
  readonly #turn = new Pause()
  #waiting: Waiting[] = []
  /** The POSTs in flight. */
  readonly #sent = new Set<AbortController>()
  /** How many groups are in flight, when the newest was sent, and whether another one gathers. */
  #groups = 0
  #leftMs = 0
  #gathers: boolean | undefined

  constructor(events: RespondEvents) {
    this.#events = events
  }

  /** The session to answer through. */
  get current(): Session {
    return this.#events.current
  }

  /**
   * Sends messages: by the link if it is open and they fit; otherwise by a POST, with others until a time, or
   * alone until a signal aborts. Settles with the result of the first that was not taken, or of the last;
   * with undefined if it could not be delivered in time.
   */
  async push(
    of: Message | Message[],
    until: number | AbortSignal,
    flow?: Flow,
  ): Promise<Judged | undefined> {
    const timed = typeof until === 'number'
    const deadlineMs = timed ? until : Infinity
    const group: Waiting[] = []
    const results = [of].flat().map((message) => {
      return new Promise<Judged | undefined>((settle) => {
        group.push(new Waiting(message, deadlineMs, settle))
      })
    })
    const post = async (waiting: Waiting[]): Promise<void> => {
      if (timed) {
        this.#waiting.push(...waiting)
        this.#post()
      } else while (waiting.length) await this.#deliver(this.#group(waiting), until)
    }
    if (!this.current.link?.send(group, post, flow)) void post(group)
    const judged = await Promise.all(results)
    return judged.find((j) => !took(j?.status)) ?? judged.at(-1)
  }

  /** Tries again at once, since there is a new session. */
  wake(): void {
    this.#pause.end()
  }

  /**
   * Repeats the POSTs in flight: they were sent before a silence that is over, and their connections may be
   * dead.
   */
  resend(): void {
    for (const post of this.#sent) post.abort()
  }

  /** Abandons undelivered messages. */
  stop(): void {
    this.#stop.abort()
    this.wake()
  }

  #post(): void {
    // Late by the clock, since timers of a busy program do not run.
    const late = performance.now() - this.#leftMs >= longMs && this.#sent.size <= mostOpen
    const free = !this.#groups || (late && this.#groups < mostGroups)
    if (this.#gathers || !this.#waiting.length || !free) return
    this.#gathers = true
    // A little later, so that answers that become ready together are sent together.
    queueMicrotask(() => {
      this.#gathers = false
      this.#groups++
      this.#leftMs = performance.now()
      const timer = setTimeout(() => {
        this.#leftMs = -Infinity
        this.#post()
      }, longMs)
      void this.#deliver(this.#group(this.#waiting)).then(() => {
        clearTimeout(timer)
        this.#groups--
        this.#post()
      })
    })
  }

  /** Takes those that can be sent together. */
  #group(waiting: Waiting[]): Waiting[] {
    const { batch, answerBytes, partBytes } = this.current.claimed.limits
    let bytes = frameBytes
    let characters = 0
    let n = 0
    const framed = !!this.current.framed
    for (const w of waiting) {
      const { length } = w.line(framed)
      const besides = framed && w.content ? w.content.length : 0
      // More content than a part has is relayed as it arrives, and nothing can follow it.
      bytes += besides > partBytes ? Infinity : length * characterBytes + besides + 1
      characters += length + besides
      // The visitors of all of them wait until the last is sent.
      if (n && (n >= batch || bytes > answerBytes || characters > mostTogether)) break
      n++
    }
    return waiting.splice(0, n)
  }

  async #deliver(group: Waiting[], signal: AbortSignal = this.#stop.signal): Promise<void> {
    const backoff = new Backoff()
    for (;;) {
      const session = this.current
      group = group.filter((w) => {
        const open = !signal.aborted && performance.now() < w.deadlineMs
        if (!open) w.settle(undefined)
        return open
      })
      if (!group.length) return
      let error: ReverseHttpError | undefined
      try {
        if (!session.lost) {
          const lines = group.map((w) => w.line(!!session.framed))
          const contents = group.map((w) => w.content)
          const content = session.framed
            ? { framed: session.framed(lines, contents) }
            : { json: `{"messages":[${lines.join()}]}` }
          while (signal !== this.#stop.signal && this.#sent.size + session.lasting >= mostOpen)
            await this.#turn.wait()
          const post = new AbortController()
          this.#sent.add(post)
          const end = onAbort(signal, () => post.abort())
          const answered = await session
            .call<Results>('POST', session.claimed.responses, { ...content, signal: post.signal })
            .finally(() => {
              end()
              this.#sent.delete(post)
              this.#turn.end()
            })
          group.forEach((w, i) => w.settle(answered?.results?.[i]))
          return
        }
      } catch (e) {
        error = e as ReverseHttpError
        if (session.framed && session.streams?.misread(error)) {
          session.plain = true
          continue
        }
        if (over(error)) this.#events.lose(session, error)
        else if (refused(error)) {
          if (error.status === 413 && group[1]) session.narrow = true
          // The same request would be refused again, but perhaps not each message alone.
          for (const w of group) {
            if (group[1]) await this.#deliver([w], signal)
            else w.settle({ status: 'invalid', detail: error.message })
          }
          return
        }
      }
      if (!signal.aborted && session === this.current) {
        await this.#pause.wait(backoff.next(error?.retryAfterMs))
      }
    }
  }
}
