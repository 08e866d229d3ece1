/*
 * The loop of polls. Its states are those of the claim:
 *
 *   online        the gateway's newest answer was good: a claim, or the answer to a poll
 *   reconnecting  a poll failed, or the session is over; nothing is known until the gateway answers
 *   closed        stopped; set by the claim, not here
 *
 * Invariants: at most one poll at a time. A poll's cursor names what was handed on, or is about to be, never
 * what only arrived, so a stop at any moment leaves the rest to other sessions. The next poll is sent before
 * a handler sees a batch; messages by a stream are handed on at once. The event loop turns between handlers
 * that compute for long: they delay one another, but neither the answers of earlier handlers nor the polls.
 * After a failure the poll asks for an answer at once (wait=0), since only an answer proves that the gateway
 * is back; an open connection does not. The first byte of a stream proves it too.
 *
 * The next poll is sent at once if the one before brought news or waited. A pause that grows follows one that
 * brought nothing, or only what came before, as from a cache that replays its answer.
 */
import { Backoff } from './backoff.js'
import { soonMs } from './bounds.js'
import { Pause } from './pause.js'
import { over, refused, ReverseHttpError } from './error.js'
import { remember } from './remember.js'
import { Pace, turn } from './turn.js'
import type { Claiming, Wish } from './gateway.js'
import type { Session } from './session.js'
import type { Arrived } from './request.js'
import type { Batch, Cancel } from './envelope.js'

type Message = Arrived | Cancel

/** What the loop reports to its claim. */
export interface PollEvents {
  /** Receives each message; undefined for one that is not an object. */
  message(message: Message | undefined): void
  /** There is a new session, so the claim is online. */
  session(): void
  /** The gateway is back after polls without an answer. */
  back(): void
  state(state: 'online' | 'reconnecting' | 'standby', error?: ReverseHttpError): void
  /** The claim is over. */
  end(error: ReverseHttpError): void
}

/** Polls for one claim until it is stopped. Makes a new session whenever the old one is over. */
export class Poller {
  declare current: Session
  readonly #claiming: Claiming
  readonly #wish: Wish
  declare readonly events: PollEvents
  readonly #backoff = new Backoff()
  readonly #pause = new Pause()
  #open = new AbortController()
  readonly #pace = new Pace()
  /** The types and ids of the newest messages. */
  readonly #came = new Map<string, true>()
  /** Resolves once all batches that arrived are handed on. */
  #handed = Promise.resolve()
  /** Whether a poll failed because nothing arrived. */
  #silent: boolean | undefined
  #stopped: boolean | undefined
  /** Does not poll: its page is in the back/forward cache or frozen, or another tab serves. */
  declare hidden: boolean | undefined

  constructor(claiming: Claiming, session: Session, wish: Wish, events: PollEvents) {
    this.#claiming = claiming
    this.current = session
    this.#wish = wish
    this.events = events
  }

  /** Runs until it is stopped or the claim is over, and everything that arrived is handed on. */
  async run(): Promise<void> {
    await this.#loop()
    await this.#handed
  }

  async #loop(): Promise<void> {
    let batch: Batch | undefined
    let failed = false
    while (!this.#stopped) {
      if (this.hidden) {
        await this.#pause.wait()
        continue
      }
      const { signal } = (this.#open = new AbortController())
      const claiming = this.current.ended
      try {
        if (claiming) {
          batch = undefined
          this.current = await this.#claiming(this.#wish, signal)
          failed = false
          this.events.session()
          this.#online()
          continue
        }
        const waitSeconds = failed ? 0 : this.current.claimed.limits.waitSeconds
        const sinceMs = performance.now()
        let news: boolean | undefined
        if (batch) this.current.cursor = batch.cursor
        const polled = this.current.poll(waitSeconds, signal, (message) => {
          this.#online()
          news ||= this.#isNew(message) || performance.now() - sinceMs > soonMs
          if (news) this.#backoff.reset()
          return message && this.#pace.step(() => this.events.message(message))
        })
        const messages = batch?.messages
        if (messages?.length) this.#handed = this.#handed.then(() => this.#hand(messages))
        batch = undefined
        const brought = await polled
        if (brought && !Array.isArray(brought.messages)) {
          throw new ReverseHttpError('unexpected', 'no batch')
        }
        batch = brought
        this.#online()
        for (const message of batch?.messages ?? []) news = this.#isNew(message) || news
        if (news || !waitSeconds || performance.now() - sinceMs > soonMs) this.#backoff.reset()
        else await this.#rest(this.#backoff.next())
        failed = false
      } catch (e) {
        failed = true
        if (signal.aborted && !signal.reason.code) continue
        const error = (signal.aborted ? signal.reason : e) as ReverseHttpError
        if (this.#stopped) return
        // A retry cannot succeed.
        if (refused(error) && (claiming || error.code === 'claim_deleted' || !over(error))) {
          return this.events.end(error)
        }
        if (!claiming) judge(this.current, error)
        // A timeout aborted it, not the signal.
        this.#silent ||=
          !signal.aborted && (error.cause as Error | undefined)?.name === 'AbortError'
        this.events.state('reconnecting', error)
        await this.#rest(this.#backoff.next(error.retryAfterMs))
      }
    }
  }

  /** Reports whether a message came for the first time. */
  #isNew(message: Message | undefined): boolean {
    return !!message && remember(this.#came, message.type + message.id, true)
  }

  #online(): void {
    if (this.#silent) this.events.back()
    this.#silent = false
    this.events.state('online')
  }

  async #hand(messages: Message[]): Promise<void> {
    // The poll that acknowledges them is sent first.
    await turn()
    for (const message of messages) {
      const turned = this.#pace.step(() => this.events.message(message))
      // Awaited only if needed, so that answers that are ready together are sent together.
      if (turned) await turned
    }
  }

  /** Ends the open poll for good. */
  stop(): void {
    this.#stopped = true
    this.wake()
  }

  /** Ends the current wait and polls anew: the network is back, or the page woke up. */
  wake(): void {
    this.#open.abort({})
    this.#pause.end()
  }

  /** Notes that the gateway refused the answers of a session. */
  lose(session: Session, error: ReverseHttpError): void {
    const polled = !session.ended && session === this.current
    session.ended = session.lost = true
    if (polled) this.#open.abort(error)
  }

  // A listener may have stopped the loop just before this.
  async #rest(ms: number): Promise<void> {
    if (!this.#stopped) await this.#pause.wait(ms)
  }

  /** Polls soon to see whether the gateway answers: the browser reports that the network is gone. */
  lack(message: string): void {
    const error = new ReverseHttpError('network', message)
    this.events.state('reconnecting', error)
    this.#open.abort(error)
  }
}

/** Notes what a failed poll means for its session. */
function judge(session: Session, error: ReverseHttpError): void {
  // A draining gateway still accepts answers; one that forgot the session does not.
  if (error.code === 'draining') session.ended = true
  else if (over(error)) session.ended = session.lost = true
}
