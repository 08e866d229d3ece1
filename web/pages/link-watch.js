/**
 * Recordings by the link of a claim: the WebSocket that the SDK has anyway carries them, too, so a
 * page needs no second connection (schema/README.md, section 13).
 */

/**
 * @typedef {import('../../sdk-js/src/envelope.js').Recorded} Recorded
 * @typedef {{ type: string, change: string, exchange?: Recorded, cleared?: boolean, last?: boolean }} Told
 * @typedef {object} Listener
 * @property {() => string} change names what the listener knows; empty for nothing
 * @property {(event: Told) => void} told
 * @property {() => void} opened recordings come by the link from now on
 * @property {() => void} closed they come by it no more
 */

/** The link of one claim, while it is open, and who watches recordings on it. */
export class LinkWatch {
  /** @type {WebSocket | undefined} */
  #open
  /** @type {Listener | undefined} */
  #listener
  #heard

  /** @param {() => void} [heard] called with whatever comes by the link, which is every 4 s at least */
  constructor(heard) {
    this.#heard = heard
  }

  /**
   * What the SDK is to open its link with, as its option `WebSocket`; undefined where the platform
   * has none.
   */
  get WebSocket() {
    if (typeof WebSocket === 'undefined') return undefined
    const watch = this
    return class extends WebSocket {
      /**
       * @param {string | URL} url
       * @param {string | string[]} [protocols]
       */
      constructor(url, protocols) {
        super(url, protocols)
        this.addEventListener('message', ({ data }) => watch.#received(this, data))
        this.addEventListener('close', () => watch.#closed(this))
      }
    }
  }

  /**
   * Has a listener told of what changes after what it knows, from when the link is open on, and of
   * the link's opening and end. There is one listener at a time.
   * @param {Listener} listener
   */
  listen(listener) {
    this.#listener = listener
    if (this.#open) this.#begin(this.#open)
  }

  /**
   * Has a listener told no more.
   * @param {Listener} listener
   */
  leave(listener) {
    if (this.#listener === listener) this.#listener = undefined
  }

  /** @param {WebSocket} socket */
  #begin(socket) {
    const listener = this.#listener
    if (!listener) return
    const change = listener.change()
    socket.send(JSON.stringify({ type: 'watch', ...(change && { change }) }))
    listener.opened()
  }

  /** @param {WebSocket} socket */
  #closed(socket) {
    if (this.#open !== socket) return
    this.#open = undefined
    this.#listener?.closed()
  }

  /**
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   */
  #received(socket, data) {
    this.#heard?.()
    if (typeof data !== 'string') {
      for (const event of recordedIn(new Uint8Array(data))) this.#tell(socket, event)
    } else if (data.startsWith('{"type":"welcome"')) {
      this.#open = socket
      this.#begin(socket)
    } else if (data.startsWith(begin)) {
      this.#tell(socket, JSON.parse(data))
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {Told} event
   */
  #tell(socket, event) {
    if (socket === this.#open) this.#listener?.told(event)
  }
}

const begin = '{"type":"recorded"'
const lineFeed = 10

/**
 * Yields the messages that tell of recordings among those in the framed form. What is not in that
 * form ends it: the SDK says so.
 * @param {Uint8Array} bytes
 * @returns {Generator<Told>}
 */
export function* recordedIn(bytes) {
  const decoder = new TextDecoder()
  let at = 0
  while (at < bytes.length) {
    const end = bytes.indexOf(lineFeed, at)
    if (end < 0) return
    const line = decoder.decode(bytes.subarray(at, end))
    at = end + 1
    if (line.startsWith(begin)) yield JSON.parse(line)
    else if (line.includes('"contentLength"')) at += beside(line)
  }
}

/**
 * Returns how many bytes stand beside a message, with the LF after them.
 * @param {string} line
 */
function beside(line) {
  try {
    const { contentLength } = JSON.parse(line)
    return typeof contentLength === 'number' ? contentLength + 1 : 0
  } catch {
    return 0
  }
}
