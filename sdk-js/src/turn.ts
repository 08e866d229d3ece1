import { fewInTurn, manyInTurn, mostTurnMs, quickMs } from './bounds.js'

interface Immediates {
  setImmediate?(then: () => void): void
}

/**
 * Resolves in another turn of the event loop, after requests were sent and received data was read. It does not use a
 * timer, since those of a hidden tab are late.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { setImmediate } = globalThis as Immediates
    // In Node an answer is read in one turn, and its connection becomes free for waiting requests in the next.
    if (setImmediate) return setImmediate(() => setImmediate(() => setImmediate(resolve)))
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      // An open port would keep the program running.
      port1.close()
      resolve()
    }
    port2.postMessage(0)
  })
}

/**
 * Begins tasks that may compute for long, at once or after a wait, and lets the event loop turn between them: after
 * one that did compute, and after a number of them, which grows while they take little time.
 */
export class Pace {
  #most = fewInTurn
  /** How many began since the last turn, and when the first did. */
  #n = 0
  #sinceMs = 0
  #computedMs = 0

  /** Begins a task. Returns what to await before the next one, if anything. */
  step(begin: () => void): Promise<void> | undefined {
    const sinceMs = performance.now()
    if (!this.#n++) this.#sinceMs = sinceMs
    begin()
    this.#computedMs += performance.now() - sinceMs
    return this.#n < this.#most && this.#computedMs < mostTurnMs ? undefined : this.#turn()
  }

  async #turn(): Promise<void> {
    await turn()
    const quick = performance.now() - this.#sinceMs < this.#n * quickMs
    this.#most = quick ? manyInTurn : fewInTurn
    this.#n = this.#computedMs = 0
  }
}
