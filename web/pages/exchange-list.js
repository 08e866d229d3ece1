/**
 * The list of exchanges, newest first. Only visible rows have elements, so ten thousand cost no
 * more than twenty.
 */
import { element, say } from './element.js'
import { readable } from './field.js'
import { maskTarget } from './mask.js'
import { duration } from './duration.js'

const overscan = 8
const mostTarget = 300

/** @typedef {import('./exchange-store.js').Row} Row */

export class ExchangeList {
  /** @type {readonly Row[]} the oldest first */
  #rows = []
  /** @type {Map<string, { made: HTMLElement, of: Row, chosen: boolean, at: number }>} */
  #shown = new Map()
  #box
  #space = element('div', 'space')
  #chosen = ''
  #scheduled = false

  /**
   * @param {HTMLElement} box
   * @param {(id: string, opened: boolean) => void} choose told which row was chosen
   */
  constructor(box, choose) {
    this.#box = box
    box.append(this.#space)
    box.addEventListener('scroll', () => this.#schedule(), { passive: true })
    new ResizeObserver(() => this.#schedule()).observe(box)
    box.addEventListener('click', (e) => {
      const row = /** @type {Element} */ (e.target).closest('[role=option]')
      if (row) choose(row.id.slice('row-'.length), true)
    })
  }

  get chosen() {
    return this.#chosen
  }

  /**
   * Shows rows. Visible rows stay in place when others are added above.
   * @param {readonly Row[]} rows the oldest first
   */
  show(rows) {
    const before = this.#rows
    this.#rows = rows
    const { scrollTop } = this.#box
    const height = this.#height()
    if (scrollTop > height / 2 && before.length) {
      const newest = before[before.length - 1].recorded.id
      let added = 0
      while (added < rows.length && rows[rows.length - 1 - added].recorded.id !== newest) added++
      this.#space.style.height = `${rows.length * height}px`
      if (added < rows.length) this.#box.scrollTop = scrollTop + added * height
    }
    this.#render()
  }

  /**
   * Marks a row as chosen and brings it into view.
   * @param {string} id
   */
  choose(id) {
    this.#chosen = id
    const at = this.#position(id)
    const height = this.#height()
    if (at >= 0) {
      const { scrollTop, clientHeight } = this.#box
      if (at * height < scrollTop) this.#box.scrollTop = at * height
      const below = (at + 1) * height - clientHeight
      if (below > scrollTop) this.#box.scrollTop = below
    }
    this.#render()
  }

  /**
   * Returns the id of the row so many below the chosen one, or of the nearest row.
   * @param {number} by
   */
  near(by) {
    const count = this.#rows.length
    if (!count) return undefined
    const at = this.#position(this.#chosen)
    const to = Math.max(0, Math.min(count - 1, at < 0 && by < Infinity ? 0 : at + by))
    return this.#rows[count - 1 - to].recorded.id
  }

  /** Returns how many rows are visible at once. */
  get page() {
    return Math.max(1, Math.floor(this.#box.clientHeight / this.#height()) - 1)
  }

  /** @param {string} id */
  #position(id) {
    const at = id ? this.#rows.findLastIndex(({ recorded }) => recorded.id === id) : -1
    return at < 0 ? -1 : this.#rows.length - 1 - at
  }

  /** Rows are taller on touch screens; the style sheet sets the height. */
  #height() {
    return parseFloat(getComputedStyle(this.#box).getPropertyValue('--row')) || 28
  }

  #schedule() {
    if (this.#scheduled) return
    this.#scheduled = true
    requestAnimationFrame(() => {
      this.#scheduled = false
      this.#render()
    })
  }

  #render() {
    const height = this.#height()
    const count = this.#rows.length
    this.#space.style.height = `${count * height}px`
    const { scrollTop, clientHeight } = this.#box
    const first = Math.max(0, Math.floor(scrollTop / height) - overscan)
    const end = Math.min(count, Math.ceil((scrollTop + clientHeight) / height) + overscan)
    const seen = new Set()
    for (let at = first; at < end; at++) {
      const row = this.#rows[count - 1 - at]
      const { id } = row.recorded
      seen.add(id)
      this.#place(row, at, count, height)
    }
    for (const [id, { made }] of this.#shown) {
      if (seen.has(id)) continue
      made.remove()
      this.#shown.delete(id)
    }
    const active = this.#shown.has(this.#chosen)
    if (active) this.#box.setAttribute('aria-activedescendant', `row-${this.#chosen}`)
    else this.#box.removeAttribute('aria-activedescendant')
  }

  /**
   * @param {Row} row
   * @param {number} at counted from the top
   * @param {number} count
   * @param {number} height
   */
  #place(row, at, count, height) {
    const { id } = row.recorded
    const chosen = id === this.#chosen
    let shown = this.#shown.get(id)
    if (!shown) {
      const made = element('div', 'exchange')
      made.id = `row-${id}`
      made.setAttribute('role', 'option')
      shown = { made, of: row, chosen: !chosen, at: -1 }
      made.append(...cells(row))
      this.#shown.set(id, shown)
      this.#space.append(made)
    } else if (shown.of !== row) {
      shown.made.replaceChildren(...cells(row))
      shown.of = row
    }
    if (shown.chosen !== chosen) {
      shown.made.setAttribute('aria-selected', `${chosen}`)
      shown.chosen = chosen
    }
    shown.made.setAttribute('aria-setsize', `${count}`)
    shown.made.setAttribute('aria-posinset', `${at + 1}`)
    shown.made.style.transform = `translateY(${at * height}px)`
  }
}

/** @param {Row} row */
function cells({ recorded, atMs, marks }) {
  const { method, target, upgrade, status, outcome, code, state, doneMs, replayOf } = recorded
  const time = element('time', 'time', clock(atMs))
  time.dateTime = recorded.receivedAt
  const verb = element('span', 'method', upgrade === 'websocket' ? 'WS' : method.slice(0, 12))
  verb.dataset.method = upgrade === 'websocket' ? 'WS' : method
  const path = element('span', 'target', short(maskTarget(readable(target))))
  const badges = element('span', 'marks')
  if (replayOf) badges.append(badge('replay', 'resent'))
  if (code) badges.append(badge('fault', code))
  for (const { is, text } of marks) badges.append(badge(is, text, 'signature'))
  const result = element('span', 'outcome', statusOf(status, outcome, state))
  result.dataset.class = status ? `${Math.floor(status / 100)}` : (outcome ?? 'open')
  const took = element('span', 'took', state === 'ended' ? duration(doneMs ?? 0) : '…')
  return [time, verb, path, badges, result, took].flatMap((cell) => [cell, ' '])
}

/**
 * @param {number | undefined} status
 * @param {string | undefined} outcome
 * @param {string} state
 */
export function statusOf(status, outcome, state) {
  if (status) return `${status}`
  if (state !== 'ended') return state === 'queued' ? 'wait' : 'open'
  return outcome === 'abandoned' ? 'left' : 'none'
}

/**
 * @param {string} is
 * @param {string} text
 */
function badge(is, text, className = 'mark') {
  const made = element('span', className)
  made.dataset.is = is
  say(made, text)
  return made
}

const clocks = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
})

/** @param {number} ms */
function clock(ms) {
  return clocks.format(ms)
}

/** @param {string} text */
function short(text) {
  return text.length > mostTarget ? `${text.slice(0, mostTarget)}…` : text
}
