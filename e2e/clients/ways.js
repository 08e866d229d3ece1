// The proxies between a program and a gateway, one of each kind.
import { once } from 'node:events'
import { createServer, request } from 'node:http'

/** A reverse proxy that takes requests whole and answers 413 to those above its bound, as nginx does. */
export async function limiting(bound) {
  const seen = { refused: 0, port: 0, to: 0 }
  const server = createServer(async (incoming, outgoing) => {
    const content = Buffer.concat(await incoming.toArray())
    if (content.length > bound) {
      seen.refused++
      outgoing.writeHead(413, { 'Content-Type': 'text/html' })
      outgoing.end('<html><h1>413 Request Entity Too Large</h1></html>')
      return
    }
    relay(incoming, outgoing, seen.to, incoming.url, content)
  })
  return listen(server, seen)
}

/** A proxy for requests with a whole URL, which notes them. Wherever they go it asks one port. */
export async function forwarding() {
  const seen = { urls: [], port: 0, to: 0 }
  const server = createServer(async (incoming, outgoing) => {
    if (!incoming.headers['proxy-authorization']) {
      outgoing.writeHead(407, { 'Proxy-Authenticate': 'Basic realm="proxy"' }).end()
      return
    }
    seen.urls.push(`${incoming.headers['proxy-authorization'] ?? ''} ${incoming.url}`)
    const content = Buffer.concat(await incoming.toArray())
    const { pathname, search } = new URL(incoming.url)
    relay(incoming, outgoing, seen.to, pathname + search, content)
  })
  return listen(server, seen)
}

async function listen(server, seen) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  seen.port = server.address().port
  seen.close = () => {
    server.close()
    server.closeAllConnections()
  }
  return seen
}

function relay(incoming, outgoing, port, path, content) {
  const { method, rawHeaders } = incoming
  const headers = rawHeaders.filter(
    (_, i) => !/^(transfer-encoding|content-length|proxy-.*)$/i.test(rawHeaders[i - (i % 2)]),
  )
  if (content.length) headers.push('Content-Length', String(content.length))
  const onward = request({ host: '127.0.0.1', port, method, path, headers })
  onward.on('response', (answer) => {
    outgoing.writeHead(answer.statusCode, answer.rawHeaders)
    answer.pipe(outgoing)
  })
  onward.on('error', () => outgoing.destroy())
  outgoing.on('close', () => onward.destroy())
  onward.end(content)
}
