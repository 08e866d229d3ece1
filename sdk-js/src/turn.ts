import { fewInTurn, manyInTurn, mostTurnMs, quickMs } from './bounds.js'

interface Immediates {
  setImmediate?(then: () => void): void
}

/**
 * Resolves in another turn of the event loop: what was asked for is on its way by then, and what had
 * come was read. Not by a timer, for those of a hidden tab are late.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { setImmediate } = globalThis as Immediates
    // In Node an answer is read in one turn, its connection is free in the next, and what waits for one is sent then.
    if (setImmediate) return setImmediate(() => setImmediate(() => setImmediate(resolve)))
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      // An open port keeps a program from its end.
      port1.close()
      resolve()
    }
    port2.postMessage(0)
  })
}

/**
 * Begins what may compute for long, then or after it waited, and has the loop turn in between: where
 * something did compute, and after some of them, which are few unless those before took little time.
 */
export class Pace {
  #most = fewInTurn
  /** How many began since the loop turned, and when the first did. */
  #n = 0
  #sinceMs = 0
  #computedMs = 0

  /** Begins one. Gives what to wait for before the next one, where there is something. */
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
