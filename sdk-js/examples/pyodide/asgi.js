/** Runs an ASGI 3 application (https://asgi.readthedocs.io) in Pyodide as the handler of a claim. */
const glue = `
from pyodide.ffi import to_js

async def run(app, request, read, start, write):
    method, path, query, version, headers, client = request
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": version,
             "method": method, "scheme": "http", "path": path, "root_path": "", "query_string": query.encode(),
             "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
             "client": (client, 0), "server": None}

    async def receive():
        part = await read()
        if part.gone:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part.bytes.to_bytes(), "more_body": part.more}

    async def send(event):
        if event["type"] == "http.response.start":
            start(event["status"], to_js([[n.decode("latin-1"), v.decode("latin-1")] for n, v in event.get("headers", [])]))
        elif event["type"] == "http.response.body":
            await write(to_js(event.get("body", b"")), event.get("more_body", False))

    await app(scope, receive, send)
run`

/** Returns the handler. `app` is a Python callable of `pyodide`; content streams both ways. */
export function asgi(pyodide, app) {
  const run = pyodide.runPython(glue, { globals: pyodide.toPy({}) })
  return (request, { method, target, httpVersion, headers, remoteAddr, signal, ...info }) => {
    const content = (info.body ?? new Blob([info.content]).stream()).getReader()
    const left = new Promise((leave) => signal.addEventListener('abort', leave))
    let ended = false
    const read = async () => {
      if (ended) return left.then(() => ({ gone: true }))
      const { done, value } = await content.read()
      ended = done
      return { gone: false, bytes: value ?? new Uint8Array(), more: !done }
    }
    // The application waits until the visitor took what it sent before.
    const { readable, writable } = new TransformStream()
    const writer = writable.getWriter()
    const write = async (bytes, more) => {
      if (bytes.length && method !== 'HEAD') await writer.write(bytes)
      if (!more) void writer.close().catch(() => {})
    }
    return new Promise((resolve, reject) => {
      const start = (status, fields) => {
        info.responseHeaders.push(...fields)
        resolve(new Response([204, 205, 304].includes(status) ? null : readable, { status }))
      }
      const path = decodeURIComponent(new URL(request.url).pathname)
      const asked = [method, path, target.split('?')[1] ?? '', httpVersion, headers, remoteAddr]
      run(app, pyodide.toPy(asked), read, start, write)
        .then(() => reject(new Error('the application did not answer')))
        .catch((error) => writer.abort(error).finally(() => reject(error)))
    })
  }
}
