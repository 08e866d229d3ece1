/*
 * Small parts of streamed answers where there is no link: a request for each would cost more than all the rest. Those
 * of many exchanges go together in one POST, and while some are on their way the next gather. The gateway answers when
 * the last visitor took its part, so one that is late is given up, and goes in eighths, and then each part by itself:
 * nobody waits for a slow visitor of another exchange for longer. What the gateway had taken is a duplicate.
 */
import { patience } from './patience.js'
import { turn } from './turn.js'
import type { Message } from './message.js'
import type { Session } from './session.js'
import type { Results, ResultStatus } from './envelope.js'

/** Parts are small up to this. */
export const smallBytes = 16_384
/** An answer that takes longer than this is late. */
export const lateMs = 200

const mostOpen = 2

interface Waiting {
  line: string
  content: Uint8Array | undefined
  settle(status: ResultStatus | undefined): void
}

const gatherings = new WeakMap<Session, Gathering>()

/** Reports whether small parts may go together: a page has few connections, and needs them for what is not small. */
export function mayGather(session: Session): boolean {
  return !globalThis.location && !!session.framed
}

/** Sends a part with those of other exchanges. Returns what became of it; undefined where it is to be sent by itself. */
export function together(session: Session, message: Message): Promise<ResultStatus | undefined> {
  const gathering = gatherings.get(session) ?? new Gathering(session)
  gatherings.set(session, gathering)
  return gathering.send(message)
}

class Gathering {
  readonly #session: Session
  #waiting: Waiting[] = []
  #open = 0
  #gathers = false

  constructor(session: Session) {
    this.#session = session
  }

  send({ content, ...message }: Message): Promise<ResultStatus | undefined> {
    const line = JSON.stringify({ ...message, contentLength: content!.length })
    return new Promise((settle) => {
      this.#waiting.push({ line, content, settle })
      void this.#post()
    })
  }

  async #post(): Promise<void> {
    if (this.#gathers || !this.#waiting.length || this.#open >= mostOpen) return
    this.#gathers = true
    await turn()
    this.#gathers = false
    this.#open++
    await this.#deliver(this.#waiting.splice(0, this.#session.claimed.limits.batch))
    this.#open--
    void this.#post()
  }

  /** Posts them once. Resolves when that is over; those of an answer that is late go on. */
  async #deliver(group: Waiting[]): Promise<void> {
    const { claimed, framed } = this.#session
    const lines = group.map((w) => w.line)
    const contents = group.map((w) => w.content)
    const post = new AbortController()
    const stop = patience(lateMs, () => post.abort())
    try {
      const answered = await this.#session.call<Results>('POST', claimed.responses, {
        framed: framed?.(lines, contents),
        signal: post.signal,
      })
      group.forEach((w, i) => w.settle(answered?.results?.[i]?.status))
    } catch {
      const n = Math.ceil(group.length / 8)
      // One by itself finds out what is wrong.
      if (!post.signal.aborted || !group[1]) group.forEach((w) => w.settle(undefined))
      else for (let at = 0; at < group.length; at += n) void this.#deliver(group.slice(at, at + n))
    } finally {
      stop()
    }
  }
}
