/** Bounds how often the visitors of one network do something. */
import { networkOf } from './address.js'

const mostNetworks = 1_000

export class Rate {
  /** @type {Map<string, { times: number, sinceMs: number }>} by network, the newest last */
  #counts = new Map()
  #most
  #withinMs
  #now

  /**
   * @param {number} most times
   * @param {number} withinMs
   * @param {() => number} now returns the time in milliseconds
   */
  constructor(most, withinMs, now) {
    this.#most = most
    this.#withinMs = withinMs
    this.#now = now
  }

  /**
   * Counts once more for an address, and reports whether that is within the bound.
   * @param {string} address
   */
  may(address) {
    const network = networkOf(address)
    const now = this.#now()
    let count = this.#counts.get(network)
    if (!count || now - count.sinceMs >= this.#withinMs) count = { times: 0, sinceMs: now }
    this.#counts.delete(network)
    this.#counts.set(network, count)
    for (const [oldest] of this.#counts) {
      if (this.#counts.size <= mostNetworks) break
      this.#counts.delete(oldest)
    }
    return ++count.times <= this.#most
  }
}
