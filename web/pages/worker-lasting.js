/**
 * What continues after an answer of the playground's worker began: streaming content, and WebSockets. The
 * visitor, the code or the end of the worker ends it.
 */

// The most data of a visitor that the code did not take; more closes the WebSocket.
const mostWaiting = 16 * 1024 * 1024
const tryAgainLater = 1013
const restart = 1012

/**
 * @typedef {object} Stream
 * @property {ReadableStreamDefaultController<Uint8Array>} controller
 * @property {() => void} pulled resolves the pull that the controller waits for
 *
 * @typedef {object} Socket
 * @property {ReturnType<NonNullable<import('/sdk.js').Info['upgrade']>>} socket
 * @property {number} waiting in bytes
 */

export class Lasting {
  /** @type {Map<string, Stream>} */
  #streams = new Map()
  /** @type {Map<string, Socket>} */
  #sockets = new Map()
  #post

  /** @param {(message: object) => void} post sends a message to the worker */
  constructor(post) {
    this.#post = post
  }

  get size() {
    return this.#streams.size + this.#sockets.size
  }

  /**
   * Returns the content of an answer, requested from the worker as it is read.
   * @param {string} id
   * @param {Uint8Array} first the beginning
   * @returns {ReadableStream<Uint8Array>}
   */
  stream(id, first) {
    return new ReadableStream({
      start: (controller) => {
        this.#streams.set(id, { controller, pulled: () => {} })
        if (first.length) controller.enqueue(first)
      },
      pull: () =>
        new Promise((resolve) => {
          const stream = this.#streams.get(id)
          if (!stream) return resolve()
          stream.pulled = resolve
          this.#post({ type: 'pull', id })
        }),
      cancel: () => {
        this.#streams.delete(id)
        this.#post({ type: 'cancel', id })
      },
    })
  }

  /**
   * Connects a visitor's WebSocket with the code's.
   * @param {string} id
   * @param {Socket['socket']} socket
   */
  socket(id, socket) {
    const held = { socket, waiting: 0 }
    this.#sockets.set(id, held)
    socket.onopen = () => this.#post({ type: 'opened', id, protocol: socket.protocol })
    socket.onmessage = ({ data }) => {
      held.waiting += sizeOf(data)
      if (held.waiting > mostWaiting) socket.close(tryAgainLater, 'too much waits')
      else this.#post({ type: 'message', id, data })
    }
    socket.onclose = ({ code, reason, wasClean }) => {
      this.#sockets.delete(id)
      this.#post({ type: 'closed', id, code, reason, wasClean })
    }
  }

  /**
   * Handles a message of the worker, and reports whether it was for a stream or a WebSocket.
   * @param {any} message
   */
  heard({ type, id, ...of }) {
    const stream = this.#streams.get(id)
    const held = this.#sockets.get(id)
    if (type === 'chunk') {
      stream?.controller.enqueue(of.chunk)
      stream?.pulled()
    } else if (type === 'end' || type === 'broken') {
      this.#streams.delete(id)
      if (type === 'end') stream?.controller.close()
      else stream?.controller.error(new Error(of.message))
      stream?.pulled()
    } else if (type === 'took') {
      if (held) held.waiting -= of.bytes
    } else if (type === 'send') {
      held?.socket.send(of.data)
    } else if (type === 'close') {
      held?.socket.close(of.code, of.reason)
    } else {
      return false
    }
    return true
  }

  /** The worker is gone, so all streams and WebSockets end. */
  end() {
    for (const { controller, pulled } of this.#streams.values()) {
      controller.error(new Error('the code was replaced before its content ended'))
      pulled()
    }
    this.#streams.clear()
    for (const { socket } of this.#sockets.values()) socket.close(restart, 'the code was replaced')
    this.#sockets.clear()
  }
}

/** @param {string | ArrayBuffer | Blob} data */
function sizeOf(data) {
  return typeof data === 'string' ? data.length : data instanceof Blob ? data.size : data.byteLength
}
