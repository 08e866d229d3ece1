/**
 * What a page has, shared by the networks of its visitors: places for requests, and room for their
 * content. It is one module since the policy of the playground has the hash of each.
 */
import { hostOf, networkOf } from './address.js'
import { bytesInWords } from './content.js'

/** The most handlers of a page that run at the same time. */
export const mostPlaces = 512
/** The most content that a page collects from a stream, in bytes. */
export const mostBytes = 4 << 20
/** The most that it collects for all requests together, shared by the networks of visitors. */
export const mostInAll = 64 << 20

/**
 * A fixed amount of a resource. Each network holds at most as much as is free, as in the gateway
 * (server/budget): one alone gets half, and however many there are, as much as each of them has is
 * left for the next.
 */
export class Shares {
  #free
  /** @type {Map<string, number>} what each network holds */
  #held = new Map()

  /** @param {number} amount */
  constructor(amount) {
    this.#free = amount
  }

  /**
   * Takes an amount for an address, and reports whether that is within its share.
   * @param {string} address
   * @param {number} [amount]
   */
  take(address, amount = 1) {
    const network = networkOf(address)
    const held = (this.#held.get(network) ?? 0) + amount
    if (held > this.#free - amount) return false
    this.#free -= amount
    this.#held.set(network, held)
    return true
  }

  /**
   * Returns an amount that an address took.
   * @param {string} address
   * @param {number} [amount]
   */
  give(address, amount = 1) {
    const network = networkOf(address)
    const held = (this.#held.get(network) ?? 0) - amount
    this.#free += amount
    if (held > 0) this.#held.set(network, held)
    else this.#held.delete(network)
  }
}

/**
 * Wraps a handler so that no network of visitors takes all places. Requests beyond its share get 503.
 * @param {import('/sdk.js').Handler} handler
 * @returns {import('/sdk.js').Handler}
 */
export function withPlaces(handler) {
  const places = new Shares(mostPlaces)
  return async (request, info) => {
    const address = hostOf(info.remoteAddr)
    if (!places.take(address)) return crowded()
    try {
      return await handler(request, info)
    } finally {
      places.give(address)
    }
  }
}

/**
 * Wraps a handler so that it gets streamed content as a whole, up to a bound. Beyond it visitors
 * get 413, and beyond the share of their network 503.
 * @param {import('/sdk.js').Handler} handler
 * @returns {import('/sdk.js').Handler}
 */
export function withWholeContent(handler) {
  const room = new Shares(mostInAll)
  return async (request, info) => {
    // Data after an upgrade comes only once it is accepted.
    if (info.upgrade) return handler(request, { ...info, body: null })
    if (!info.body) return handler(request, info)
    const address = hostOf(info.remoteAddr)
    let held = 0
    const take = (/** @type {number} */ bytes) => {
      if (!room.take(address, bytes)) return false
      held += bytes
      return true
    }
    try {
      const content = await read(info.body, take)
      if (content === 'crowded') return crowded()
      if (content === 'long') {
        return new Response(`this page takes ${bytesInWords(mostBytes)} at most\n`, { status: 413 })
      }
      return await handler(request, { ...info, body: null, content })
    } finally {
      room.give(address, held)
    }
  }
}

/**
 * Reads a stream to its end, or returns the reason if it does not.
 * @param {ReadableStream<Uint8Array>} stream
 * @param {(bytes: number) => boolean} take reports whether there is room for more bytes
 */
async function read(stream, take) {
  const reader = stream.getReader()
  /** @type {BlobPart[]} */
  const chunks = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return new Uint8Array(await new Blob(chunks).arrayBuffer())
    size += value.length
    const why = size > mostBytes ? 'long' : !take(value.length) && 'crowded'
    if (why) {
      await reader.cancel()
      return why
    }
    chunks.push(/** @type {Uint8Array<ArrayBuffer>} */ (value))
  }
}

/** Returns the answer to visitors whose network has its share already. */
function crowded() {
  const headers = { 'Retry-After': '10' }
  return new Response('Too many of your requests are here already.\n', { status: 503, headers })
}
