/** A chat: who is present, and what was said. Everything that strangers can add is bounded. */
import { networkOf } from './address.js'

export const mostMembers = 60
export const mostOfOne = 6
export const mostKept = 200
export const mostText = 2_000
const mostName = 40
const mostPosts = 10
const postsMs = 10_000
const mostAddresses = 1_000

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
  /** @type {Map<string, { posts: number, sinceMs: number }>} by network, the newest last */
  #posts = new Map()
  #last = 0
  #changed
  #now

  /**
   * @param {() => void} changed called after each message, and when somebody joins or leaves
   * @param {() => number} [now] the time in milliseconds
   */
  constructor(changed, now = Date.now) {
    this.#changed = changed
    this.#now = now
  }

  /**
   * Admits a member, who first receives the messages after `id`, and then all new ones. Returns false if too
   * many are here.
   * @param {Member} member
   * @param {number} [id]
   */
  join(member, id = 0) {
    const network = networkOf(member.address)
    const mine = [...this.members].filter(({ address }) => networkOf(address) === network)
    if (this.members.size >= mostMembers || mine.length >= mostOfOne) return false
    for (const said of this.said) if (said.id > id) member.hear('said', said)
    this.members.add(member)
    this.#tellWho()
    return true
  }

  /** @param {Member} member */
  leave(member) {
    if (this.members.delete(member)) this.#tellWho()
  }

  /**
   * Sends a message to all members.
   * @param {{ from: unknown, text: unknown, host?: boolean, address?: string }} what
   * @returns {Said | 'empty' | 'long' | 'fast'}
   */
  say({ from, text, host = false, address = '' }) {
    const trimmed = typeof text === 'string' ? text.trim() : ''
    if (!trimmed) return 'empty'
    if (trimmed.length > mostText) return 'long'
    if (!host && !this.#mayPost(networkOf(address))) return 'fast'
    /** @type {Said} */
    const said = { id: ++this.#last, from: nameOf(from), host, text: trimmed, at: this.#now() }
    this.said.push(said)
    if (this.said.length > mostKept) this.said.shift()
    for (const { hear } of this.members) hear('said', said)
    this.#changed()
    return said
  }

  /** The members, as the members see them. */
  get here() {
    return [...this.members].map(({ name, by }) => ({ name, by }))
  }

  #tellWho() {
    const { here } = this
    for (const { hear } of this.members) hear('here', here)
    this.#changed()
  }

  /** @param {string} network */
  #mayPost(network) {
    const now = this.#now()
    let count = this.#posts.get(network)
    if (!count || now - count.sinceMs >= postsMs) count = { posts: 0, sinceMs: now }
    this.#posts.delete(network)
    this.#posts.set(network, count)
    for (const [oldest] of this.#posts) {
      if (this.#posts.size <= mostAddresses) break
      this.#posts.delete(oldest)
    }
    return ++count.posts <= mostPosts
  }
}

/**
 * Returns a name that fits into one line.
 * @param {unknown} name
 */
export function nameOf(name) {
  const clean = typeof name === 'string' ? name.replace(/[\s\x00-\x1f\x7f]+/g, ' ').trim() : ''
  return clean.slice(0, mostName) || 'somebody'
}
