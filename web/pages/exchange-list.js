/** A list of exchanges, newest first: what was asked and what was answered. */
import { contentOf } from './content.js'
import { element, say } from './element.js'
import { details } from './exchange-details.js'
import { readable } from './field.js'

const most = 200
const mostBytes = 32 * 1024 * 1024
const mostTarget = 200

/**
 * @typedef {object} Exchange one row of the list
 * @property {string} id
 * @property {string} method
 * @property {string} target
 * @property {string} httpVersion
 * @property {string} remoteAddr
 * @property {number} attempt
 * @property {readonly (readonly [string, string])[]} headers
 * @property {Uint8Array<ArrayBuffer>} content
 * @property {number} receivedMs
 * @property {import('/sdk.js').ExchangeEnd} [end]
 * @property {{ scheme: string, is: string, why: string }[]} [signatures]
 */

/** Keeps the newest exchanges, bounded in number and in bytes. */
export class ExchangeList {
  /** @type {Map<string, { exchange: Exchange, row: any }>} the oldest first */
  #shown = new Map()
  #list
  #changed

  /**
   * @param {HTMLElement} list
   * @param {(count: number) => void} changed told how many are listed
   */
  constructor(list, changed) {
    this.#list = list
    this.#changed = changed
    changed(0)
  }

  /** @returns {Exchange[]} */
  get exchanges() {
    return [...this.#shown.values()].map(({ exchange }) => exchange)
  }

  /**
   * Adds an exchange that begins; one that is listed stays as it is.
   * @param {Omit<Exchange, 'receivedMs'>} of
   */
  begin({ id, method, target, httpVersion, remoteAddr, attempt, headers, content }) {
    if (this.#shown.has(id)) return
    const request = { id, method, target, httpVersion, remoteAddr, attempt, headers, content }
    const exchange = { ...request, receivedMs: Date.now() }
    const row = element('details', 'exchange', element('summary'))
    row.addEventListener('toggle', () => this.update(id))
    this.#shown.set(id, { exchange, row: element('li', '', row) })
    this.update(id)
    this.#list.prepend(this.#shown.get(id)?.row)
    this.#bound()
  }

  /**
   * Tells how an exchange ended.
   * @param {import('/sdk.js').ExchangeEnd} end
   */
  end(end) {
    const { id } = end.request
    // A request that is no Request never came to the handler.
    this.begin({ ...end.request, content: contentOf(end.request) })
    const shown = this.#shown.get(id)
    if (!shown) return
    shown.exchange.end = end
    this.update(id)
    this.#bound()
  }

  /**
   * Shows an exchange as it is.
   * @param {string} id
   */
  update(id) {
    const shown = this.#shown.get(id)
    if (!shown) return
    const row = shown.row.firstChild
    row.firstChild.replaceChildren(...summary(shown.exchange))
    // What is closed costs nothing: it is made when it is opened.
    row.querySelector('.parts')?.remove()
    if (row.open) row.append(details(shown.exchange))
  }

  clear() {
    this.#shown.clear()
    this.#list.replaceChildren()
    this.#changed(0)
  }

  #bound() {
    let bytes = 0
    for (const { exchange } of this.#shown.values()) bytes += sizeOf(exchange)
    for (const [id, { exchange, row }] of this.#shown) {
      if (this.#shown.size <= most && bytes <= mostBytes) break
      bytes -= sizeOf(exchange)
      this.#shown.delete(id)
      row.remove()
    }
    this.#changed(this.#shown.size)
  }
}

/** @param {Exchange} exchange */
function sizeOf({ content, end }) {
  return content.length + (end?.response?.content?.length ?? 0)
}

/** @param {Exchange} exchange */
function summary({ method, target, end, receivedMs, signatures = [] }) {
  const parts = [
    element('b', 'method', method.slice(0, 20)),
    element('span', 'target', short(readable(target))),
    element('span', 'outcome', outcome(end)),
  ]
  parts.push(element('span', 'took', end ? `${Math.round(end.durationMs)} ms` : ''))
  for (const { scheme, is } of signatures.filter((s) => s.is !== 'not signed')) {
    parts.push(signature(is, `${scheme}: ${is}`))
  }
  if (signatures.length && signatures.every((s) => s.is === 'not signed')) {
    parts.push(signature('none', 'not signed'))
  }
  const time = element('time', '', new Date(receivedMs).toLocaleTimeString())
  time.dateTime = new Date(receivedMs).toISOString()
  return [...parts, time].flatMap((part) => [part, ' '])
}

/**
 * @param {string} is
 * @param {string} text
 */
function signature(is, text) {
  const made = element('span', 'signature')
  made.dataset.is = is
  say(made, text)
  return made
}

/** @param {Exchange['end']} end */
function outcome(end) {
  if (!end) return 'running'
  if (!end.response) return 'not answered'
  const { status } = end.response
  if (end.result === 'accepted' || end.result === 'duplicate') return `${status}`
  return end.result === 'late' ? `${status}, too late` : `${status}, ${end.result ?? 'not taken'}`
}

/** @param {string} text */
function short(text) {
  return text.length > mostTarget ? `${text.slice(0, mostTarget)}…` : text
}
