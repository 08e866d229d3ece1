/**
 * A beat that goes on in a hidden tab. Timers of a page that nobody sees fire once a minute, but the
 * gateway sends something every 4 s over the link of a claim, and what comes is not kept back.
 */

const leastMs = 1_000

export class Pulse {
  /** @type {Set<() => void>} */
  #listeners = new Set()
  #beatMs = -Infinity
  /** @type {ReturnType<typeof setInterval> | undefined} for claims that have no link */
  #timer
  /** Returns the time in milliseconds. */
  now

  /** @param {() => number} [now] */
  constructor(now = () => performance.now()) {
    this.now = now
  }

  /** Notifies the listeners that something came or time passed, at most once a second. */
  beat = () => {
    const now = this.now()
    if (now - this.#beatMs < leastMs) return
    this.#beatMs = now
    for (const listener of [...this.#listeners]) listener()
  }

  /**
   * Calls a function again and again, until the function that is returned is called.
   * @param {() => void} listener
   */
  listen(listener) {
    this.#listeners.add(listener)
    this.#timer ??= setInterval(this.beat, leastMs)
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }
}
