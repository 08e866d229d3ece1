/** A chat: who is present, and what was said. Everything that strangers can add is bounded. */
import { networkOf } from './address.js'
import { Rate } from './rate.js'

export const mostMembers = 60
export const mostOfOne = 6
export const mostKept = 200
/** The most characters of all stored messages, which each new member receives at once. */
export const mostKeptText = 100_000
export const mostText = 2_000
export const mostJoins = 20
const mostName = 40
const mostPosts = 10
const rateMs = 10_000
// Each change goes to every member, so strangers who join and leave could cause many messages.
const whoMs = 1_000

/**
 * @typedef {object} Said
 * @property {number} id counts up
 * @property {string} from the name that they chose
 * @property {boolean} host whether the user of this page said it
 * @property {string} text
 * @property {number} at in milliseconds
 *
 * @typedef {object} Member
 * @property {string} name
 * @property {'WebSocket' | 'events'} by how they receive messages
 * @property {string} address
 * @property {(type: 'said' | 'here', what: unknown) => void} hear
 */

export class Room {
  /** @type {Said[]} the oldest first */
  said = []
  /** @type {Set<Member>} */
  members = new Set()
  #posts
  #joins
  #last = 0
  #saidWhoMs = -Infinity
  /** Whether the members have changed since `here` was last sent. */
  #stale = false
  #changed
  #now

  /**
   * @param {() => void} changed called after each message, and when somebody joins or leaves
   * @param {() => number} [now] the time in milliseconds
   */
  constructor(changed, now = Date.now) {
    this.#changed = changed
    this.#now = now
    this.#posts = new Rate(mostPosts, rateMs, now)
    this.#joins = new Rate(mostJoins, rateMs, now)
  }

  /**
   * Admits a member, who first receives the messages after `id`, and then all new ones. Returns the
   * reason if it does not.
   * @param {Member} member
   * @param {number} [id]
   * @returns {'full' | 'often' | undefined}
   */
  join(member, id = 0) {
    const network = networkOf(member.address)
    const mine = [...this.members].filter(({ address }) => networkOf(address) === network)
    if (this.members.size >= mostMembers || mine.length >= mostOfOne) return 'full'
    if (!this.#joins.may(member.address)) return 'often'
    for (const said of this.said) if (said.id > id) member.hear('said', said)
    this.members.add(member)
    this.#moved()
    return undefined
  }

  /** @param {Member} member */
  leave(member) {
    if (this.members.delete(member)) this.#moved()
  }

  /**
   * Sends a message to all members.
   * @param {{ from: unknown, text: unknown, host?: boolean, address?: string }} what
   * @returns {Said | 'empty' | 'long' | 'fast'}
   */
  say({ from, text, host = false, address = '' }) {
    const trimmed = typeof text === 'string' ? text.replace(unseen, '').trim() : ''
    if (!trimmed) return 'empty'
    if (trimmed.length > mostText) return 'long'
    if (!host && !this.#posts.may(address)) return 'fast'
    /** @type {Said} */
    const said = { id: ++this.#last, from: nameOf(from), host, text: trimmed, at: this.#now() }
    this.said.push(said)
    let length = this.said.reduce((sum, { text }) => sum + text.length, 0)
    while (this.said.length > mostKept || length > mostKeptText) {
      length -= this.said.shift()?.text.length ?? 0
    }
    for (const { hear } of this.members) hear('said', said)
    this.#changed()
    return said
  }

  /** The members, as the members see them. */
  get here() {
    return [...this.members].map(({ name, by }) => ({ name, by }))
  }

  #moved() {
    this.#stale = true
    this.tellWho()
    this.#changed()
  }

  /** Tells the members who is here if that has changed, at most once a second. Call it repeatedly. */
  tellWho = () => {
    const now = this.#now()
    if (!this.#stale || now - this.#saidWhoMs < whoMs) return
    this.#stale = false
    this.#saidWhoMs = now
    const { here } = this
    for (const { hear } of this.members) hear('here', here)
  }
}

// Control characters, except for tabs and line breaks.
const unseen = /[\x00-\x08\x0b-\x1f\x7f]/g
// Control characters, and those that change the direction of the text around them (Unicode, UAX 9).
const noName = /[\s\x00-\x1f\x7f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g

/**
 * Returns a name that fits into one line.
 * @param {unknown} name
 */
export function nameOf(name) {
  const clean = typeof name === 'string' ? name.replace(noName, ' ').trim() : ''
  return clean.slice(0, mostName) || 'somebody'
}
