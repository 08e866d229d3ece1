/**
 * What goes on after an answer of the playground's worker began: content that streams, and
 * WebSockets. Its end is the visitor's, the code's, or that of the worker.
 */

// What a visitor sent and the code did not take; more closes the WebSocket.
const mostWaiting = 16 * 1024 * 1024
const tryAgainLater = 1013
const restart = 1012

/**
 * @typedef {object} Stream
 * @property {ReadableStreamDefaultController<Uint8Array>} controller
 * @property {() => void} pulled resolves what the controller waits for
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
   * Returns the content of an answer, which is asked for as it is read.
   * @param {string} id
   * @param {Uint8Array} first what there is of it
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
   * Joins the WebSocket of a visitor with the one that the code has.
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
   * Takes a message of the worker, and reports whether it was for something that lasts.
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

  /** The worker is gone: cuts what lasts. */
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
