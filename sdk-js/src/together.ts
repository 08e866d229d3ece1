/*
 * Sends small parts of streamed answers without a link: a request for each would cost more than all the rest. Parts of
 * many exchanges go together in one POST, and while some are in flight the next gather. The gateway answers when the
 * last visitor has received its part. So a POST that is late is abandoned and repeated in eighths, and then part by
 * part, so that no exchange waits long for the slow visitor of another. Parts that the gateway already has are
 * duplicates.
 */
import { patience } from './patience.js'
import { turn } from './turn.js'
import type { Message } from './message.js'
import type { Session } from './session.js'
import type { Results, ResultStatus } from './envelope.js'

/** The largest small part, in bytes. */
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

/** Reports whether small parts should go together: a page has few connections, and needs them for larger parts. */
export function mayGather(session: Session): boolean {
  return !globalThis.location && !!session.framed
}

/** Sends a part with those of other exchanges. Returns its result, or undefined if it must be sent alone. */
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

  /** Posts parts once. Resolves when that is over; parts in a late POST are sent again. */
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
      // Sent alone, each finds out what is wrong.
      if (!post.signal.aborted || !group[1]) group.forEach((w) => w.settle(undefined))
      else for (let at = 0; at < group.length; at += n) void this.#deliver(group.slice(at, at + n))
    } finally {
      stop()
    }
  }
}
