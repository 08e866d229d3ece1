/**
 * A subscriber of WebSub (https://www.w3.org/TR/websub/): asks a hub for a topic, confirms its verification
 * requests, and accepts only content that is signed with the secret of the subscription.
 */
import { hexOf } from './hex.js'
import { verify } from './hmac.js'

export const mostSubscriptions = 20
export const leaseS = 86_400
const mostChallenge = 4_096
const mostReason = 300
const hashes = { sha1: 'SHA-1', sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' }

/**
 * @typedef {'asked' | 'active' | 'denied' | 'leaving'} SubscriptionState `asked`: the hub has not verified
 * the intent; `leaving`: it was asked to end the subscription
 *
 * @typedef {object} Subscription
 * @property {string} id random; the end of the callback's URL
 * @property {string} topic
 * @property {string} hub
 * @property {string} callback
 * @property {string} secret
 * @property {SubscriptionState} state
 * @property {string} reason why it is denied, in the hub's words
 * @property {number} endsAt in milliseconds; 0 while it is not active
 *
 * @typedef {object} Push
 * @property {Subscription} of
 * @property {'valid' | 'unsigned' | 'invalid'} signature
 * @property {string} type the media type
 * @property {Uint8Array} content empty where the signature is not valid
 */

export class Subscriptions {
  /** @type {Map<string, Subscription>} */
  #all = new Map()
  #changed
  #pushed
  #now

  /**
   * @param {() => void} changed
   * @param {(push: Push) => void} pushed
   * @param {() => number} [now] the time in milliseconds
   */
  constructor(changed, pushed, now = Date.now) {
    this.#changed = changed
    this.#pushed = pushed
    this.#now = now
  }

  get all() {
    return [...this.#all.values()]
  }

  /**
   * Begins a subscription, for which the caller has to ask the hub. Returns undefined if there are too many.
   * @param {string} topic
   * @param {string} hub
   * @param {string} base the URL of the claim
   */
  add(topic, hub, base) {
    if (this.#all.size >= mostSubscriptions) return undefined
    const id = random()
    /** @type {Subscription} */
    const added = {
      id,
      topic,
      hub,
      callback: `${base}sub/${id}`,
      secret: random(),
      state: 'asked',
      reason: '',
      endsAt: 0,
    }
    this.#all.set(id, added)
    this.#changed()
    return added
  }

  /**
   * Restores subscriptions from before a reload, if their callbacks are below the URL of the claim.
   * @param {Subscription[]} kept
   * @param {string} base
   */
  restore(kept, base) {
    for (const one of kept.slice(0, mostSubscriptions)) {
      if (one.callback === `${base}sub/${one.id}`) this.#all.set(one.id, one)
    }
    this.#changed()
  }

  /** @param {string} id */
  leave(id) {
    const one = this.#all.get(id)
    if (one) this.#turn(one, { state: 'leaving' })
  }

  /** @param {string} id */
  forget(id) {
    if (this.#all.delete(id)) this.#changed()
  }

  /** Forgets all, since their callbacks no longer lead here. */
  clear() {
    this.#all.clear()
    this.#changed()
  }

  /** @type {import('/sdk.js').Handler} */
  handle = async (request, info) => {
    const { pathname, searchParams } = new URL(request.url)
    const one = this.#all.get(/^\/sub\/([0-9a-f]{32})$/.exec(pathname)?.[1] ?? '')
    if (!one) return text(404, 'Nobody subscribed by this URL.')
    if (info.method === 'GET') return this.#confirm(one, searchParams)
    if (info.method === 'POST') return this.#take(one, request, info.content)
    return text(405, 'A hub sends GET and POST.', { Allow: 'GET, POST' })
  }

  /**
   * Answers a hub that verifies the subscriber's intent (WebSub, 5.3).
   * @param {Subscription} one
   * @param {URLSearchParams} query
   */
  #confirm(one, query) {
    const mode = query.get('hub.mode')
    if (query.get('hub.topic') !== one.topic) return text(404, 'That is another topic.')
    if (mode === 'denied') {
      this.#turn(one, {
        state: 'denied',
        reason: (query.get('hub.reason') ?? '').slice(0, mostReason),
      })
      return text(200, 'Noted.')
    }
    const challenge = query.get('hub.challenge')
    const wanted = one.state === 'leaving' ? 'unsubscribe' : 'subscribe'
    if (mode !== wanted || !challenge || challenge.length > mostChallenge) {
      return text(404, 'Nobody asked for that.')
    }
    if (mode === 'unsubscribe') this.forget(one.id)
    else {
      const seconds = Number(query.get('hub.lease_seconds'))
      const lease = seconds > 0 ? Math.min(seconds, 365 * leaseS) : leaseS
      this.#turn(one, { state: 'active', reason: '', endsAt: this.#now() + lease * 1000 })
    }
    const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }
    return new Response(challenge, { headers })
  }

  /**
   * Accepts content that a hub distributes (WebSub, 7).
   * @param {Subscription} one
   * @param {Request} request
   * @param {Uint8Array} content
   */
  async #take(one, request, content) {
    if (one.state !== 'active' && one.state !== 'leaving') {
      return text(404, 'The hub has not verified this subscription.')
    }
    const signature = await checked(one.secret, request.headers.get('X-Hub-Signature'), content)
    const type = request.headers.get('Content-Type') ?? ''
    const taken = signature === 'valid' ? content : new Uint8Array()
    this.#pushed({ of: one, signature, type, content: taken })
    // WebSub, 8: forgers learn nothing from the answer.
    return new Response(null, { status: 204 })
  }

  /**
   * @param {Subscription} one
   * @param {Partial<Subscription>} change
   */
  #turn(one, change) {
    Object.assign(one, change)
    this.#changed()
  }
}

/**
 * @param {string} secret
 * @param {string | null} field
 * @param {Uint8Array} content
 * @returns {Promise<Push['signature']>}
 */
async function checked(secret, field, content) {
  if (field === null) return 'unsigned'
  const [, method, digits] = /^(sha1|sha256|sha384|sha512)=((?:[0-9a-f]{2})+)$/i.exec(field) ?? []
  if (!method) return 'invalid'
  const bytes = Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16))
  const hash = hashes[/** @type {keyof typeof hashes} */ (method.toLowerCase())]
  return (await verify(new TextEncoder().encode(secret), bytes, content, hash))
    ? 'valid'
    : 'invalid'
}

/**
 * Returns the request to a hub (WebSub, 5.1).
 * @param {Subscription} one
 * @param {'subscribe' | 'unsubscribe'} mode
 */
export function asking({ topic, callback, secret }, mode) {
  return new URLSearchParams({
    'hub.mode': mode,
    'hub.topic': topic,
    'hub.callback': callback,
    ...(mode === 'subscribe' && { 'hub.secret': secret, 'hub.lease_seconds': `${leaseS}` }),
  })
}

/** Returns 32 random digits. */
function random() {
  return hexOf(crypto.getRandomValues(new Uint8Array(16)))
}

/**
 * @param {number} status
 * @param {string} said
 * @param {Record<string, string>} [fields]
 */
function text(status, said, fields = {}) {
  const headers = {
    'Content-Type': 'text/plain; charset=utf-8',
    'Cache-Control': 'no-store',
    ...fields,
  }
  return new Response(`${said}\n`, { status, headers })
}
