/** Runs before the code of the editor, in the worker of the playground: defines `serve`. */
'use strict'

{
  // Content that ends this soon and is short is sent whole.
  const earlyMs = 20
  const earlyBytes = 256 * 1024
  let handler
  /** Running requests by id: their controllers, and the rest of their answers. */
  const running = new Map()
  const sockets = new Map()

  // The location of a blob has an invalid path, which libraries do not expect.
  Object.defineProperty(self, 'location', { value: new URL(self.origin) })

  self.serve = (given) => {
    if (typeof given !== 'function') throw new TypeError('serve takes a function')
    handler = given
  }

  self.endOfCode = () => {
    postMessage(
      handler
        ? { type: 'loaded' }
        : { type: 'fault', message: 'the code does not call serve(handler)' },
    )
  }

  addEventListener('unhandledrejection', ({ reason }) => {
    postMessage({ type: 'fault', ...described(reason) })
  })

  addEventListener('message', ({ data }) => {
    const { type, id } = data
    if (type === 'request') void answer(data)
    if (type === 'ask') postMessage({ type: 'here' })
    if (type === 'cancel') cancel(id)
    if (type === 'pull') void pull(id)
    sockets.get(id)?.told(data)
  })

  async function answer({ method, url, info, canUpgrade }) {
    const { id } = info
    const controller = new AbortController()
    running.set(id, { controller })
    try {
      const { signal } = controller
      const responseHeaders = []
      const request = toRequest(method, url, info, signal)
      const earlyHints = (headers) => postMessage({ type: 'hints', id, headers })
      const upgrade = (options) => {
        if (sockets.has(id)) throw new TypeError('upgrade() was called already')
        const socket = new Socket(id)
        sockets.set(id, socket)
        postMessage({ type: 'upgrade', id, options, added: responseHeaders })
        return socket
      }
      const more = { responseHeaders, earlyHints, signal, ...(canUpgrade && { upgrade }) }
      const response = await handler(request, { ...info, ...more })
      if (sockets.has(id)) return
      if (!(response instanceof Response)) throw new TypeError('the handler returned no Response')
      const reader = response.body?.getReader()
      const { content, next } = await early(reader)
      const headers = [...response.headers]
      const { status } = response
      const lasts = !!next
      if (lasts) Object.assign(running.get(id) ?? {}, { reader, next })
      else running.delete(id)
      postMessage({ type: 'answer', id, status, headers, added: responseHeaders, content, lasts }, [
        content.buffer,
      ])
    } catch (e) {
      running.delete(id)
      sockets.get(id)?.close(1011)
      postMessage({ type: 'failed', id, ...described(e) })
    }
  }

  /** Reads the chunks that are available soon; `next` is the pending read, unless the content ended. */
  async function early(reader) {
    const chunks = []
    let bytes = 0
    let next = reader?.read()
    const over = new Promise((resolve) => setTimeout(resolve, earlyMs))
    while (next) {
      const read = await Promise.race([next, over])
      if (!read) break
      next = undefined
      if (read.done) break
      chunks.push(vetted(read.value))
      bytes += read.value.length
      next = reader.read()
      if (bytes > earlyBytes) break
    }
    const content = new Uint8Array(bytes)
    let at = 0
    for (const chunk of chunks) {
      content.set(chunk, at)
      at += chunk.length
    }
    return { content, next }
  }

  /** Sends the next chunk of a streaming answer. */
  async function pull(id) {
    const of = running.get(id)
    if (!of) return
    try {
      const { done, value } = await (of.next ?? of.reader.read())
      of.next = undefined
      if (!done) return postMessage({ type: 'chunk', id, chunk: vetted(value) })
      postMessage({ type: 'end', id })
    } catch (e) {
      postMessage({ type: 'broken', id, ...described(e) })
    }
    running.delete(id)
  }

  function vetted(chunk) {
    if (chunk instanceof Uint8Array) return chunk
    throw new TypeError('the content of the Response has a chunk that is not a Uint8Array')
  }

  function cancel(id) {
    const of = running.get(id)
    running.delete(id)
    of?.controller.abort()
    of?.reader?.cancel().catch(() => {})
  }

  /** A visitor's WebSocket, which the page holds. */
  class Socket extends EventTarget {
    readyState = 0
    protocol = ''
    #id

    constructor(id) {
      super()
      this.#id = id
    }

    send(data) {
      if (this.readyState < 2) postMessage({ type: 'send', id: this.#id, data })
    }

    close(code, reason) {
      if (this.readyState > 1) return
      this.readyState = 2
      postMessage({ type: 'close', id: this.#id, code, reason })
    }

    told({ type, ...of }) {
      if (type === 'opened') {
        this.readyState = 1
        this.protocol = of.protocol
        this.#emit(new Event('open'))
      } else if (type === 'message') {
        const { data } = of
        const bytes = data.byteLength ?? data.size ?? data.length
        postMessage({ type: 'took', id: this.#id, bytes })
        this.#emit(new MessageEvent('message', { data }))
      } else if (type === 'closed') {
        this.readyState = 3
        sockets.delete(this.#id)
        running.delete(this.#id)
        this.#emit(new CloseEvent('close', of))
      }
    }

    #emit(event) {
      this[`on${event.type}`]?.call(this, event)
      this.dispatchEvent(event)
    }
  }

  /** Makes the Request that the SDK would make, since messages cannot carry one. */
  function toRequest(method, url, info, signal) {
    const headers = new Headers()
    for (const [name, value] of info.headers) {
      try {
        headers.append(name, value)
      } catch {
        // The value is still in info.headers.
      }
    }
    const silent = !info.content.length || /^(get|head)$/i.test(method)
    const carrier = /^(connect|trace|track)$/i.test(method) ? 'POST' : method
    const body = silent ? null : info.content
    const request = new Request(url, { method: carrier, headers, body, signal })
    if (request.method !== method) Object.defineProperty(request, 'method', { value: method })
    return request
  }

  /** Returns the message of an error, and its line in this script, if known. */
  function described(error) {
    const line = /blob:[^\s)]*?:(\d+):\d+/.exec(error?.stack ?? '')?.[1]
    return { message: String(error), line: Number(line ?? 0) }
  }
}
