/**
 * Runs the code of the editor in a worker of its own. It cannot reach the page, nor the storage
 * where tokens are; code that loops is ended with its worker. New code gets a new worker, and the
 * old one may finish what it has begun.
 */

const loadMs = 5_000
const finishMs = 5_000

/** Answers with the code that was applied last. */
export class Runner {
  /** @type {Running | undefined} */
  #running
  #failed

  /** @param {(message: string) => void} failed told of faults outside of any request */
  constructor(failed) {
    this.#failed = failed
  }

  /** Whether there is code to answer. */
  get ready() {
    return !!this.#running
  }

  /**
   * Takes new code, once it runs and has called serve; else rejects and changes nothing.
   * @param {string} code
   */
  async apply(code) {
    const running = new Running(code, this.#failed)
    await running.loaded
    this.#running?.retire()
    this.#running = running
  }

  /** @type {import('/sdk.js').Handler} */
  async handle(request, info) {
    if (!this.#running) throw new Error('no code is applied')
    return this.#running.handle(request, info)
  }
}

/**
 * @typedef {object} Pending A request that the code has not answered.
 * @property {(answer: any) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {(headers: [string, string][]) => void} earlyHints
 */

class Running {
  /** @type {Map<string, Pending>} */
  #pending = new Map()
  #retired = false
  #worker
  /** @type {Promise<void>} */
  loaded

  /**
   * @param {string} code
   * @param {(message: string) => void} failed
   */
  constructor(code, failed) {
    // All on line one: the lines of errors are those of the editor.
    const before = `'use strict';importScripts('${location.origin}/handler-worker.js');`
    const blob = new Blob([before, code, '\n;endOfCode()'], { type: 'text/javascript' })
    const url = URL.createObjectURL(blob)
    this.#worker = new Worker(url, { name: 'handler' })
    this.loaded = new Promise((resolve, reject) => {
      const late = () => end(new Error('the code does not come to its end'))
      const timer = setTimeout(late, loadMs)
      let over = false
      const end = (/** @type {Error} */ error) => {
        clearTimeout(timer)
        URL.revokeObjectURL(url)
        if (over) failed(error.message)
        else this.#worker.terminate()
        over = true
        reject(error)
      }
      this.#worker.addEventListener('error', (e) => {
        e.preventDefault()
        const message = e.message.replace(/^Uncaught /, '')
        end(new Error(e.lineno ? `${message} (line ${e.lineno})` : message))
      })
      this.#worker.addEventListener('message', ({ data }) => {
        if (data.type === 'loaded') {
          clearTimeout(timer)
          URL.revokeObjectURL(url)
          over = true
          resolve()
        } else if (data.type === 'fault') end(new Error(data.message))
        else this.#settle(data)
      })
    })
  }

  /** @type {import('/sdk.js').Handler} */
  async handle(request, { signal, responseHeaders, earlyHints, upgrade, ...info }) {
    const { id } = info
    const answered = new Promise((resolve, reject) =>
      this.#pending.set(id, { resolve, reject, earlyHints }),
    )
    signal.addEventListener('abort', () => this.#worker.postMessage({ type: 'cancel', id }))
    const { method, url } = request
    this.#worker.postMessage({ type: 'request', method, url, info })
    const { status, headers, added, content } = await answered
    responseHeaders.push(...added)
    return new Response(content.byteLength ? content : null, { status, headers })
  }

  retire() {
    this.#retired = true
    if (!this.#pending.size) return this.#worker.terminate()
    setTimeout(() => {
      this.#worker.terminate()
      for (const { reject } of this.#pending.values()) {
        reject(new Error('the code was replaced before it answered'))
      }
    }, finishMs)
  }

  /** @param {any} answer */
  #settle(answer) {
    const waiting = this.#pending.get(answer.id)
    if (answer.type === 'hints') return waiting?.earlyHints(answer.headers)
    this.#pending.delete(answer.id)
    if (answer.type === 'failed') waiting?.reject(new Error(answer.message))
    else waiting?.resolve(answer)
    if (this.#retired && !this.#pending.size) this.#worker.terminate()
  }
}
