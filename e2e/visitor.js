// A visitor on a raw socket: what it sends and receives is exact, byte for byte.
import { connect } from 'node:net'

const answerMs = 600_000

/**
 * Sends one request to a public URL and returns the answer. Fields are pairs; Host and Content-Length are
 * added.
 */
export function visit(url, { method = 'GET', fields = [], content = '' } = {}) {
  const { host, port, pathname, search } = new URL(url)
  const bytes = Buffer.from(content)
  const lines = [`${method} ${pathname}${search} HTTP/1.1`, `Host: ${host}`]
  for (const [name, value] of fields) lines.push(`${name}: ${value}`)
  if (bytes.length) lines.push(`Content-Length: ${bytes.length}`)
  const head = Buffer.from(lines.join('\r\n') + '\r\n\r\n', 'latin1')
  return visitRaw(Number(port || 80), Buffer.concat([head, bytes]), method)
}

/**
 * Sends bytes to a loopback port and returns the final answer: status, fields as pairs in which each character
 * is one byte, content, and the interim statuses before it.
 */
export function visitRaw(port, bytes, method = bytes.toString('latin1').split(' ', 1)[0]) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = Buffer.alloc(0)
    const settle = (ended) => {
      try {
        const answer = parse(received, method, ended)
        if (!answer) return
        resolve(answer)
      } catch (e) {
        reject(e)
      }
      socket.destroy()
    }
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      settle(false)
    })
    socket.on('end', () => settle(true))
    socket.on('error', reject)
    socket.setTimeout(answerMs, () => socket.destroy(new Error('no answer in time')))
    socket.write(bytes)
  })
}

/** Parses an answer. Returns undefined while it is incomplete. */
function parse(received, method, ended) {
  const interim = []
  for (let rest = received; ;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return incomplete(ended, received)
    const [line, ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n')
    const status = Number(line.match(/^HTTP\/1\.[01] (\d{3})/)?.[1])
    if (!status) throw new Error(`no status line: ${JSON.stringify(line)}`)
    rest = rest.subarray(end + 4)
    if (status < 200) {
      interim.push(status)
      continue
    }
    const fields = lines.map((l) => {
      const [, name, value] = l.match(/^([^:]+):[ \t]*(.*?)[ \t]*$/) ?? []
      if (!name) throw new Error(`no field: ${JSON.stringify(l)}`)
      return [name, value]
    })
    const content = contentOf(rest, method, status, fields, ended)
    return content ? { status, fields, content, interim } : incomplete(ended, received)
  }
}

function incomplete(ended, received) {
  if (ended)
    throw new Error(`the answer is cut short: ${JSON.stringify(received.toString('latin1'))}`)
  return undefined
}

/** Returns the content (RFC 9112, 6.3), or undefined while it is incomplete. */
function contentOf(rest, method, status, fields, ended) {
  if (method === 'HEAD' || status === 204 || status === 304) return exactly(rest, 0)
  if (field(fields, 'Transfer-Encoding') === 'chunked') return dechunk(rest)
  const length = field(fields, 'Content-Length')
  if (length !== undefined) return exactly(rest, Number(length))
  return ended ? rest : undefined
}

function exactly(rest, length) {
  if (rest.length > length) throw new Error(`${rest.length - length} bytes after the answer`)
  return rest.length === length ? rest : undefined
}

function dechunk(rest) {
  const chunks = []
  for (;;) {
    const end = rest.indexOf('\r\n')
    if (end < 0) return undefined
    const size = parseInt(rest.subarray(0, end).toString(), 16)
    const next = end + 2 + size + 2
    if (rest.length < next) return undefined
    if (size === 0) return Buffer.concat(chunks)
    chunks.push(rest.subarray(end + 2, end + 2 + size))
    rest = rest.subarray(next)
  }
}

/** Returns the value of a field, joined if it is repeated, or undefined if it is absent. */
export function field(fields, name) {
  const values = valuesOf(fields, name)
  return values.length ? values.join(', ') : undefined
}

/** Returns all values of a field. */
export function valuesOf(fields, name) {
  return fields.filter((f) => f[0].toLowerCase() === name.toLowerCase()).map((f) => f[1])
}
