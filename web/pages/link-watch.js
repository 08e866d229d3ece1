/**
 * Recordings by the link of a claim: the WebSocket that the SDK has anyway carries them, too, so a
 * page needs no second connection (schema/README.md, section 13).
 */

/**
 * @typedef {import('../../sdk-js/src/envelope.js').Recorded} Recorded
 * @typedef {{ type: string, change: string, exchange?: Recorded, cleared?: boolean }} Told
 * @typedef {{ told: (event: Told) => void, opened: () => void, closed: () => void }} Listener
 */

/** The link of one claim, while it is open, and who watches recordings on it. */
export class LinkWatch {
  /** @type {WebSocket | undefined} */
  #open
  /** @type {(Listener & { change: string }) | undefined} */
  #listener

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

  /** Whether recordings come by the link. */
  get open() {
    return this.#open !== undefined
  }

  /**
   * Has a listener told of what changes after `change`, from when the link is open on, and of the
   * link's opening and end. There is one listener at a time.
   * @param {Listener} listener
   * @param {string} change empty for all recordings first
   */
  listen(listener, change) {
    this.#listener = { ...listener, change }
    if (this.#open) this.#begin(this.#open)
  }

  /** Has nobody told any more. */
  leave() {
    this.#listener = undefined
  }

  /** @param {WebSocket} socket */
  #begin(socket) {
    const listener = this.#listener
    if (!listener) return
    const { change } = listener
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
    const listener = this.#listener
    if (!listener || socket !== this.#open) return
    listener.change = event.change
    listener.told(event)
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
