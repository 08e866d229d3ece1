import { Backoff } from './backoff.js'
import { Pause } from './pause.js'
import { ReverseHttpError } from './error.js'
import type { Session } from './session.js'
import type { Response as Answer, Result } from './envelope.js'

/** What posting answers needs to know, and tells. */
export interface RespondEvents {
  /** The session to answer through: the newest, for an exchange may have moved to it. */
  session(): Session
  /** The gateway refuses answers of this session. */
  lost(session: Session, error: ReverseHttpError): void
}

interface Waiting {
  id: string
  json: string
  /** The bytes of the JSON and a comma. */
  bytes: number
  deadlineMs: number
  settle(result: Result | undefined): void
}

// {"messages":[ and ]}
const frameBytes = 15

/**
 * Posts answers, one POST at a time: what becomes ready meanwhile goes together in the next one.
 * A POST that failed is sent again, the same, until nobody waits for what it says.
 */
export class Responder {
  readonly #events: RespondEvents
  readonly #backoff = new Backoff()
  readonly #pause = new Pause()
  readonly #stop = new AbortController()
  #waiting: Waiting[] = []
  #posting = false

  constructor(events: RespondEvents) {
    this.#events = events
  }

  /** Posts one answer. Settles with its result; with undefined when it could not be delivered in time. */
  async push(answer: Answer, deadlineMs: number): Promise<Result | undefined> {
    const json = JSON.stringify(answer)
    const bytes = new TextEncoder().encode(json).length + 1
    const { answerBytes } = this.#events.session().claimed.limits
    if (bytes + frameBytes > answerBytes) {
      return refused(
        answer.id,
        `${bytes} bytes are more than the ${answerBytes} that the gateway takes`,
      )
    }
    return new Promise((settle) => {
      this.#waiting.push({ json, id: answer.id, bytes, deadlineMs, settle })
      void this.#post()
    })
  }

  /** Tries again at once: there is a new session. */
  wake(): void {
    this.#pause.end()
  }

  /** Gives up what is not delivered. */
  stop(): void {
    this.#stop.abort()
    this.wake()
  }

  async #post(): Promise<void> {
    if (this.#posting) return
    this.#posting = true
    // A turn of the loop later: answers that become ready together go together.
    await undefined
    while (this.#waiting.length) await this.#deliver(this.#group())
    this.#posting = false
  }

  #group(): Waiting[] {
    const { batch, answerBytes } = this.#events.session().claimed.limits
    let bytes = frameBytes
    let n = 0
    for (const { bytes: more } of this.#waiting) {
      if (n && (n >= batch || bytes + more > answerBytes)) break
      bytes += more
      n++
    }
    return this.#waiting.splice(0, n)
  }

  async #deliver(group: Waiting[]): Promise<void> {
    const { signal } = this.#stop
    for (;;) {
      const session = this.#events.session()
      group = group.filter((w) => {
        const open = !signal.aborted && performance.now() < w.deadlineMs
        if (!open) w.settle(undefined)
        return open
      })
      if (!group.length) return
      let askedMs = 0
      try {
        if (!session.lost) {
          const json = `{"messages":[${group.map((w) => w.json).join()}]}`
          const answered = await session.respond(json, signal)
          this.#backoff.reset()
          group.forEach((w, i) => w.settle(answered?.results?.[i]))
          return
        }
      } catch (e) {
        const error = e as ReverseHttpError
        const { status, code, retryAfterMs } = error
        askedMs = retryAfterMs
        if ([404, 409, 410].includes(status)) {
          this.#events.lost(session, error)
        } else if (
          status >= 400 &&
          status < 500 &&
          status !== 408 &&
          status !== 429 &&
          code !== 'unexpected'
        ) {
          // The same again would be refused again.
          for (const w of group) w.settle(refused(w.id, error.message))
          return
        }
      }
      if (!signal.aborted && session === this.#events.session()) {
        await this.#pause.wait(this.#backoff.next(askedMs))
      }
    }
  }
}

function refused(id: string, detail: string): Result {
  return { id, status: 'invalid', detail }
}
