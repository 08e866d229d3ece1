/* WebSockets of visitors, loaded with the first request to upgrade. */
import { onAbort } from './abort.js'
import { VisitorSocket } from './visitor-socket.js'
import type { Made } from './answer.js'
import type { Field } from './envelope.js'
import type { Info } from './request.js'

const defaultMessageBytes = 16 << 20
// A page that speaks HTTP/1.1 has six connections, and each socket holds one; polls and answers need some.
const mostSockets = 2

/** The number of open sockets. */
let sockets = 0

/** Runs a handler that may upgrade. Returns its Response, or the socket's answer once it upgraded. */
export function offer(
  info: Info,
  handle: () => Response | undefined | Promise<Response | undefined>,
  exchange: { readonly controller: AbortController; leave?(): void },
  closing: AbortSignal,
): Promise<Response | Made | undefined> {
  if (globalThis.location && info.url.startsWith('http:') && sockets >= mostSockets) {
    const response = new Response(null, { status: 503, headers: { 'Retry-After': '10' } })
    return Promise.resolve(response)
  }
  let socket: VisitorSocket | undefined
  let answered = false
  const upgraded = new Promise<Made>((resolve) => {
    info.upgrade = ({ protocol = '', messageBytes = defaultMessageBytes } = {}) => {
      if (socket || answered) throw new DOMException('answered already', 'InvalidStateError')
      if (protocol && !offered(info).includes(protocol)) {
        throw new DOMException(`the visitor does not offer ${protocol}`, 'SyntaxError')
      }
      const opened = (socket = new VisitorSocket(info, protocol, messageBytes, exchange.controller))
      sockets++
      const end = onAbort(closing, (exchange.leave = () => opened.close(1001)))
      opened.addEventListener('close', () => {
        sockets--
        end()
      })
      const headers = info.responseHeaders.map(([name, value]): Field => [`${name}`, `${value}`])
      if (protocol) headers.push(['sec-websocket-protocol', protocol])
      const answer = { type: 'response', id: info.id, status: 101, headers } as const
      resolve({ answer, content: socket.content })
      return socket
    }
  })
  const handled = (async () => handle())().finally(() => (answered = true))
  handled.catch((e) => socket?.fail(e))
  return Promise.race([upgraded, handled])
}

/** Returns the subprotocols that a visitor offers. */
function offered({ headers }: Info): string[] {
  return headers
    .filter(([name]) => name.toLowerCase() === 'sec-websocket-protocol')
    .flatMap(([, value]) => value.split(','))
    .map((name) => name.trim())
}
