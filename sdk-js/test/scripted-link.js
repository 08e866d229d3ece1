// The links of a scripted gateway: schema/vectors/README.md.
import { WebSocketServer } from 'ws'
import { frame, unframe } from './framed.js'
import { until } from './scripted-gateway.js'

const subprotocol = 'reversehttp.1'

// Tests may stop the clock of the SDK, but not this one.
const { setInterval, setTimeout } = globalThis

/**
 * Lets a server offer links. `openings` describes the result of each, in turn; further ones are accepted and
 * stay open. `located` replaces `{origin}`, `limits` are those of the claim, and `token` returns the expected
 * token.
 */
export function offerLinks(server, { openings, seen, limits, located, token, framed }) {
  const left = [...openings]
  const sockets = new Set()
  const accepting = new WebSocketServer({
    noServer: true,
    maxPayload: 262_144,
    handleProtocols: (asked) => asked.has(subprotocol) && subprotocol,
  })
  const wrong = (what) => (seen.fault ??= what)

  server.on('upgrade', (req, socket, head) => {
    socket.on('error', () => {})
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    const opening = left.shift() ?? {}
    if (opening.silent) return
    if (opening.drop) return void socket.destroy()
    if (opening.status) return refuse(socket, opening, located)
    accepting.handleUpgrade(req, socket, head, (ws) => {
      const { authorization = '', 'last-event-id': cursor } = req.headers
      const link = { ws, opening, framed, token: authorization.replace(/^Bearer /, '') }
      if (ws.protocol !== subprotocol) wrong('a link without its subprotocol')
      begin(link, cursor)
    })
  })

  function begin(link, cursor) {
    const { ws, opening } = link
    let welcomed = false
    const welcome = () => {
      welcomed = true
      if (link.token !== token()) return wrong(`a link with the token ${link.token}`)
      seen.links.push(cursor ?? '')
      const { exchangeWindow = 262_144, linkWindow = 4_194_304 } = opening
      ws.send(JSON.stringify({ type: 'welcome', limits, exchangeWindow, linkWindow }))
      const ping = () => opening.quiet || say(link, { type: 'ping' })
      ping()
      const timer = setInterval(ping, 4000)
      const replaced = () => ws.close(1001)
      server.on('poll', replaced)
      ws.on('close', () => {
        clearInterval(timer)
        server.off('poll', replaced)
      })
      act(link).catch((e) => wrong(e.message))
    }
    ws.on('error', (e) => wrong(e.message))
    ws.on('message', (data, binary) => {
      let messages
      try {
        messages = binary ? unframe(data).messages : [JSON.parse(data)]
      } catch (e) {
        return wrong(e.message)
      }
      if (welcomed) return take(link, messages)
      const [{ type, token: shown, cursor: at }] = messages
      if (type !== 'hello' || messages.length > 1) wrong('a link that does not begin with hello')
      link.token = shown
      cursor = at
      welcome()
    })
    if (link.token) welcome()
  }

  function take(link, messages) {
    const results = []
    for (const m of messages) {
      if (m.type === 'pong') seen.pongs++
      if (m.type === 'pong' || m.type === 'ack') {
        if (m.cursor !== undefined) seen.acked.push(m.cursor)
        continue
      }
      seen.answers.push(m)
      results.push({ id: m.id, status: 'accepted', ...(m.type === 'part' && { seq: m.seq }) })
    }
    if (results.length && !link.opening.withholds) say(link, { type: 'results', results })
  }

  /** Follows the script. */
  async function act(link) {
    const { ws, opening } = link
    const so = (fact) => until(() => ws.readyState > 1 || fact())
    for (const a of opening.does ?? []) {
      if (a.sends) say(link, ...[located(a.sends)].flat())
      if (a.after) await so(() => seen.answers.length >= a.after)
      if (a.acked) await so(() => seen.acked.includes(a.acked))
      if (seen.answers.length > a.most) wrong('too many messages of answers')
      if (a.waitMs) await new Promise((resolve) => setTimeout(resolve, a.waitMs))
      if (a.closes) ws.close(a.closes)
      if (a.cuts) ws.terminate()
    }
  }

  return {
    /** Cuts open links, and upgrades without an answer. */
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Sends messages, in one piece if they are framed. */
function say({ ws, framed }, ...messages) {
  if (ws.readyState > 1) return
  if (framed) ws.send(Buffer.concat(messages.map(frame)))
  else for (const message of messages) ws.send(JSON.stringify(message))
}

function refuse(socket, { status, json, headers }, located) {
  const content = json ? JSON.stringify(located(json)) : ''
  const fields = { 'Content-Type': 'application/problem+json', ...headers }
  const lines = Object.entries({ ...fields, 'Content-Length': Buffer.byteLength(content) })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\n${head}\r\n${content}`)
}
