/** Downloads: who downloads what, and how much of it was sent. */
import { Shares } from './shares.js'

export const mostAtOnce = 64
const mostShown = 50

/**
 * @typedef {'running' | 'done' | 'left' | 'failed'} TransferState `left`: the visitor left; `failed`: the
 * file could not be read, or the page gave up its URL
 *
 * @typedef {object} Transfer
 * @property {number} id
 * @property {string} name
 * @property {string} address who downloads
 * @property {number} from the first requested byte
 * @property {number} bytes the number of requested bytes
 * @property {number} sent
 * @property {TransferState} state
 */

export class Transfers {
  /** @type {Map<number, Transfer>} the oldest first */
  #all = new Map()
  #changed
  #last = 0
  #places = new Shares(mostAtOnce)

  /** @param {(transfer: Transfer) => void} changed called with each that begins, progresses or ends */
  constructor(changed) {
    this.#changed = changed
  }

  /** The newest first. */
  get all() {
    return [...this.#all.values()].reverse()
  }

  get running() {
    return this.all.filter(({ state }) => state === 'running')
  }

  /**
   * Notes the download of a response, and returns the same response with its content counted as it is sent.
   * Nothing is read before the visitor takes it. Returns undefined if the visitor's network has its share.
   * @param {Response} response
   * @param {Pick<Transfer, 'name' | 'address' | 'from' | 'bytes'>} about
   */
  begin(response, about) {
    const { body, status, headers } = response
    if (!body) return response
    if (!this.#places.take(about.address)) {
      void body.cancel()
      return undefined
    }
    const id = ++this.#last
    /** @type {Transfer} */
    const transfer = { ...about, id, sent: 0, state: 'running' }
    this.#all.set(id, transfer)
    this.#forget()
    this.#changed(transfer)
    const content = this.#counted(body, transfer)
    return new Response(content, { status, headers })
  }

  /**
   * @param {ReadableStream<Uint8Array>} content
   * @param {Transfer} transfer
   * @returns {ReadableStream<Uint8Array>}
   */
  #counted(content, transfer) {
    const reader = content.getReader()
    const moved = (/** @type {Partial<Transfer>} */ change) => {
      if (change.state && transfer.state === 'running') this.#places.give(transfer.address)
      Object.assign(transfer, change)
      this.#changed(transfer)
    }
    return new ReadableStream(
      {
        async pull(controller) {
          try {
            const { done, value } = await reader.read()
            if (done) {
              moved({ state: transfer.sent < transfer.bytes ? 'failed' : 'done' })
              controller.close()
            } else {
              moved({ sent: transfer.sent + value.length })
              controller.enqueue(value)
            }
          } catch (e) {
            // The file is gone or was changed after it was dropped.
            moved({ state: 'failed' })
            controller.error(e)
          }
        },
        cancel(reason) {
          moved({ state: reason?.message === 'closed' ? 'failed' : 'left' })
          return reader.cancel(reason)
        },
      },
      { highWaterMark: 0 },
    )
  }

  #forget() {
    for (const { id, state } of this.#all.values()) {
      if (this.#all.size <= mostShown) return
      if (state !== 'running') this.#all.delete(id)
    }
  }
}
