/**
 * Runs the code of the editor in a worker of its own, which can reach neither the page nor the storage with
 * the tokens. New code gets a new worker, and the old one may finish its requests. A worker with requests is
 * pinged repeatedly. If it loops it does not reply: it counts as hung until it replies or is ended, and
 * visitors get an answer that says so.
 */

import { asScript, libraries, withoutImports } from './worker-libraries.js'
import { Lasting } from './worker-lasting.js'

// Loading the libraries takes long on a slow machine; then the code has its own time.
const beginMs = 60_000
const loadMs = 5_000
const finishMs = 5_000
const hangMs = 2_000
const askMs = 250

/** Answers with the code that was applied last. */
export class Runner {
  /** @type {Running | undefined} */
  #running
  #code = ''
  #failed
  #hangs
  #scripts

  /**
   * @param {(message: string) => void} failed called with errors outside of any request
   * @param {(is: boolean) => void} hangs called when the code hangs, and when it no longer does
   * @param {string[]} [more] the paths of further scripts to run before the code
   */
  constructor(failed, hangs, more = []) {
    this.#failed = failed
    this.#hangs = hangs
    this.#scripts = ['/handler-worker.js', ...more]
  }

  /** Whether there is code that answers. */
  get ready() {
    return !!this.#running
  }

  /**
   * Replaces the code once the new code runs and has called serve; otherwise rejects and changes nothing.
   * @param {string} code
   */
  async apply(code) {
    // The worker may load nothing, so the libraries are sent with the code.
    const { text, names } = withoutImports(code)
    const before = await Promise.all([
      ...this.#scripts.map(sourceOf),
      ...names.map(async (name) => asScript(name, await sourceOf(libraries[name]))),
    ])
    const running = new Running(before.join(''), text, this.#failed, (is) => {
      if (running === this.#running) this.#hangs(is)
    })
    await running.loaded
    this.#running?.retire()
    this.#running = running
    this.#code = code
    this.#hangs(false)
  }

  /** Ends code that hangs, and restarts it. */
  restart() {
    return this.apply(this.#code)
  }

  /** @type {import('/sdk.js').Handler} */
  async handle(request, info) {
    if (!this.#running) throw new Error('no code is applied')
    return this.#running.handle(request, info)
  }
}

/**
 * @typedef {object} Pending A request that the code has not answered.
 * @property {(answer: any) => void} resolve called with the answer, or with undefined if the code hangs
 * @property {(error: Error) => void} reject
 * @property {(headers: [string, string][]) => void} earlyHints
 * @property {(message: any) => void} upgrade
 */

/** @type {Map<string, Promise<string>>} */
const sources = new Map()

/** @param {string} path */
function sourceOf(path) {
  const loading = sources.get(path) ?? load(path)
  sources.set(path, loading)
  loading.catch(() => sources.delete(path))
  return loading
}

/** @param {string} path */
async function load(path) {
  const response = await fetch(path)
  if (!response.ok) throw new Error(`${path} answers ${response.status}`)
  return response.text()
}

class Running {
  /** @type {Map<string, Pending>} */
  #pending = new Map()
  #retired = false
  #worker
  #hangs = false
  #tell
  #failed
  #linesBefore
  #lasting = new Lasting((message) => this.#worker.postMessage(message))
  /** @type {number | undefined} of the ping that waits for its reply, or is due */
  #timer
  /** @type {Promise<void>} */
  loaded

  /**
   * @param {string} before runs before the code, and defines serve
   * @param {string} code
   * @param {(message: string) => void} failed
   * @param {(is: boolean) => void} hangs
   */
  constructor(before, code, failed, hangs) {
    this.#tell = hangs
    this.#failed = failed
    this.#linesBefore = before.split('\n').length - 1
    // On the same line as the beginning of the code.
    const begun = ';postMessage({ type: "begun" });'
    const blob = new Blob([before, begun, code, '\n;endOfCode()'], { type: 'text/javascript' })
    const url = URL.createObjectURL(blob)
    this.#worker = new Worker(url, { name: 'handler' })
    this.loaded = new Promise((resolve, reject) => {
      const late = () => end(new Error('the code does not finish'))
      let timer = setTimeout(late, beginMs)
      let over = false
      const end = (/** @type {Error} */ error) => {
        clearTimeout(timer)
        URL.revokeObjectURL(url)
        if (over) failed(error.message)
        else this.#end()
        over = true
        reject(error)
      }
      this.#worker.addEventListener('error', (e) => {
        e.preventDefault()
        const message = e.message.replace(/^Uncaught /, '')
        end(this.#error({ message, line: e.lineno }))
      })
      this.#worker.addEventListener('message', ({ data }) => {
        if (data.type === 'begun') {
          clearTimeout(timer)
          timer = setTimeout(late, loadMs)
        } else if (data.type === 'loaded') {
          clearTimeout(timer)
          URL.revokeObjectURL(url)
          over = true
          resolve()
        } else if (data.type === 'fault') end(this.#error(data))
        else if (data.type === 'here') this.#heard()
        else if (!this.#lasting.heard(data)) this.#settle(data)
      })
    })
  }

  /** @type {import('/sdk.js').Handler} */
  async handle(request, { signal, responseHeaders, earlyHints, upgrade, ...info }) {
    if (this.#hangs) return busy()
    const { id } = info
    const answered = new Promise((resolve, reject) => {
      const accept = (/** @type {any} */ { options, added }) => {
        try {
          if (!upgrade) throw new TypeError('the visitor did not ask for a WebSocket')
          responseHeaders.push(...added)
          this.#lasting.socket(id, upgrade(options))
          resolve({ upgraded: true })
        } catch (e) {
          const closed = { code: 1006, reason: '', wasClean: false }
          this.#worker.postMessage({ type: 'closed', id, ...closed })
          reject(e)
        }
      }
      this.#pending.set(id, { resolve, reject, earlyHints, upgrade: accept })
    })
    signal.addEventListener('abort', () => this.#worker.postMessage({ type: 'cancel', id }))
    const { method, url } = request
    this.#worker.postMessage({ type: 'request', method, url, info, canUpgrade: !!upgrade })
    if (!this.#timer) this.#ask()
    const answer = await answered
    if (!answer) return busy()
    if (answer.upgraded) return /** @type {any} */ (undefined)
    const { status, headers, added, content, lasts } = answer
    responseHeaders.push(...added)
    if (lasts) return new Response(this.#lasting.stream(id, content), { status, headers })
    return new Response(content.byteLength ? content : null, { status, headers })
  }

  #ask() {
    this.#worker.postMessage({ type: 'ask' })
    this.#timer = setTimeout(() => this.#hang(), hangMs)
  }

  #heard() {
    clearTimeout(this.#timer)
    this.#timer = this.#goesOn ? setTimeout(() => this.#ask(), askMs) : undefined
    if (this.#hangs) this.#tell((this.#hangs = false))
  }

  #hang() {
    this.#tell((this.#hangs = true))
    for (const { resolve } of this.#pending.values()) resolve(undefined)
    this.#pending.clear()
    if (this.#retired) this.#end()
  }

  /** Whether the worker has anything to do for visitors. */
  get #goesOn() {
    return this.#pending.size + this.#lasting.size > 0
  }

  #end() {
    clearTimeout(this.#timer)
    this.#worker.terminate()
    this.#lasting.end()
  }

  retire() {
    this.#retired = true
    if (!this.#goesOn) return this.#end()
    setTimeout(() => {
      this.#end()
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
    if (answer.type === 'upgrade') waiting?.upgrade(answer)
    else if (answer.type !== 'failed') waiting?.resolve(answer)
    else if (waiting) waiting.reject(this.#error(answer))
    else this.#failed(this.#error(answer).message)
    if (this.#retired && !this.#goesOn) this.#end()
  }

  /**
   * Returns an error of the code with its line.
   * @param {{ message: string, line: number }} of
   */
  #error({ message, line }) {
    const own = line - this.#linesBefore
    return new Error(own > 0 ? `${message} (line ${own})` : message)
  }
}

/** Returns the answer to visitors while the code hangs. */
function busy() {
  const problem = {
    title: 'Service Unavailable',
    status: 503,
    code: 'busy',
    detail: 'The handler of this page is busy. Try again later.',
  }
  const headers = { 'Content-Type': 'application/problem+json', 'Retry-After': '5' }
  return new Response(JSON.stringify(problem), { status: 503, headers })
}
