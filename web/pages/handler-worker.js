/** Runs in the worker of the playground before the code of the editor, which calls `serve`. */
'use strict'

{
  let handler
  const running = new Map()

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
    postMessage({ type: 'fault', message: described(reason) })
  })

  addEventListener('message', ({ data }) => {
    if (data.type === 'request') void answer(data)
    if (data.type === 'ask') postMessage({ type: 'here' })
    if (data.type === 'cancel') running.get(data.id)?.abort()
  })

  async function answer({ method, url, info }) {
    const { id } = info
    const controller = new AbortController()
    running.set(id, controller)
    try {
      const { signal } = controller
      const responseHeaders = []
      const request = toRequest(method, url, info, signal)
      const earlyHints = (headers) => postMessage({ type: 'hints', id, headers })
      const response = await handler(request, { ...info, responseHeaders, earlyHints, signal })
      if (!(response instanceof Response)) throw new TypeError('the handler gave no Response')
      const content = await response.arrayBuffer()
      const headers = [...response.headers]
      const { status } = response
      const said = { type: 'answer', id, status, headers, added: responseHeaders, content }
      postMessage(said, [content])
    } catch (e) {
      postMessage({ type: 'failed', id, message: described(e) })
    }
    running.delete(id)
  }

  /** The Request that the SDK would make: messages cannot carry one. */
  function toRequest(method, url, info, signal) {
    const headers = new Headers()
    for (const [name, value] of info.headers) {
      try {
        headers.append(name, value)
      } catch {
        // It is still in info.headers.
      }
    }
    const silent = !info.content.length || /^(get|head)$/i.test(method)
    const carrier = /^(connect|trace|track)$/i.test(method) ? 'POST' : method
    const body = silent ? null : info.content
    const request = new Request(url, { method: carrier, headers, body, signal })
    if (request.method !== method) Object.defineProperty(request, 'method', { value: method })
    return request
  }

  function described(error) {
    const line = /blob:[^\s)]*?:(\d+):\d+/.exec(error?.stack ?? '')?.[1]
    return line ? `${error} (line ${line})` : String(error)
  }
}
