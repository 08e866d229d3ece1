/** Summaries of the exchanges that a page knows: more than the gateway stores, but bounded. */
import { mostKept } from './recordings.js'

export const mostRows = 10_000

/**
 * @typedef {object} Row an exchange of the list; replaced whole when it changes
 * @property {import('./recordings.js').Recorded} recorded
 * @property {number} atMs when it came
 * @property {readonly Mark[]} marks what the page found out about it
 *
 * @typedef {{ is: string, text: string, title?: string }} Mark
 */

export class ExchangeStore {
  /** @type {Map<string, Row>} */
  #rows = new Map()
  /** @type {string[]} ids, the oldest first */
  #order = []
  /** @type {Map<string, readonly Mark[]>} of exchanges that may not be listed yet */
  #marks = new Map()
  /** @type {ReadonlySet<string>} those that the gateway has dropped for sure */
  #gone = new Set()
  #changed

  /** @param {(id: string | undefined, isNew: boolean) => void} changed */
  constructor(changed) {
    this.#changed = changed
  }

  get size() {
    return this.#order.length
  }

  /** @param {string} id */
  get(id) {
    return this.#rows.get(id)
  }

  /** Returns the rows, the oldest first. */
  rows() {
    return this.#order.map((id) => /** @type {Row} */ (this.#rows.get(id)))
  }

  /**
   * Reports whether the gateway may still have the recording of an exchange.
   * @param {string} id
   */
  kept(id) {
    return !this.#gone.has(id) && this.#order.lastIndexOf(id) >= this.#order.length - mostKept
  }

  /**
   * Notes which recordings the gateway has. All others are gone.
   * @param {ReadonlySet<string>} ids
   */
  only(ids) {
    this.#gone = new Set(this.#order.filter((id) => !ids.has(id)))
  }

  /**
   * Adds or replaces an exchange.
   * @param {import('./recordings.js').Recorded} recorded
   */
  upsert(recorded) {
    const { id, receivedAt } = recorded
    const known = this.#rows.get(id)
    const marks = this.#marks.get(id) ?? known?.marks ?? []
    const row = { recorded, atMs: known?.atMs ?? Date.parse(receivedAt), marks }
    this.#rows.set(id, row)
    if (!known) this.#insert(id, row)
    this.#changed(id, !known)
  }

  /**
   * Notes what the page found out about an exchange.
   * @param {string} id
   * @param {readonly Mark[]} marks
   */
  mark(id, marks) {
    this.#marks.delete(id)
    this.#marks.set(id, marks)
    if (this.#marks.size > mostRows) this.#marks.delete(this.#marks.keys().next().value ?? '')
    const known = this.#rows.get(id)
    if (!known) return
    this.#rows.set(id, { ...known, marks })
    this.#changed(id, false)
  }

  /** The ids of the exchanges that are not completed. */
  open() {
    return this.#order.filter((id) => this.#rows.get(id)?.recorded.state !== 'ended')
  }

  /** Removes the completed exchanges, or all. */
  clear(all = false) {
    const open = new Set(all ? [] : this.open())
    this.remove(new Set(this.#order.filter((id) => !open.has(id))))
  }

  /** @param {Set<string>} ids of the exchanges to remove */
  remove(ids) {
    this.#order = this.#order.filter((id) => {
      if (!ids.has(id)) return true
      this.#rows.delete(id)
      this.#marks.delete(id)
      return false
    })
    this.#changed(undefined, false)
  }

  /**
   * @param {string} id
   * @param {Row} row
   */
  #insert(id, row) {
    let at = this.#order.length
    while (at > 0 && (this.#rows.get(this.#order[at - 1])?.atMs ?? 0) > row.atMs) at--
    this.#order.splice(at, 0, id)
    if (this.#order.length <= mostRows) return
    const [oldest] = this.#order.splice(0, 1)
    this.#rows.delete(oldest)
    this.#marks.delete(oldest)
  }
}
