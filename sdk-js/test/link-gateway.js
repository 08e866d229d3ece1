// A scripted gateway with links (schema/README.md, 4), whose answers a test controls.
import { WebSocketServer } from 'ws'
import WebSocket from 'ws'
import { serve } from './built.js'
import { frame, unframe } from './framed.js'
import { scriptedGateway, until } from './scripted-gateway.js'

export { WebSocket }

const subprotocol = 'reversehttp.1'

/**
 * Starts a gateway with links until the test is over, and serves a handler at it. `upgrades` describes the
 * result of each upgrade in turn; after that they succeed: 'swallow' leaves it unanswered, 'cut' closes its
 * connection, 'mute' opens a link without messages, 'late' one that is welcomed when the test says so,
 * 'brief' one that is cut after its welcome. A poll that comes after the hello ends a link with 1001.
 */
export async function linked(t, handler, { upgrades = [], options, windows, ...script } = {}) {
  const gateway = await scriptedGateway({
    transports: ['json', 'ndjson', 'framed'],
    link: true,
    ...script,
    limits: { framedInlineBytes: 262_144, ...script.limits },
  })
  const server = new WebSocketServer({ noServer: true, handleProtocols: () => subprotocol })
  const links = []
  const asked = []
  const sockets = new Set()
  gateway.server.on('poll', () => links.forEach((l) => l.hello && l.close(1001)))
  gateway.server.on('upgrade', (req, socket, head) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    const fate = upgrades.shift()
    asked.push(req)
    if (fate === 'swallow') return
    if (fate === 'cut') return socket.destroy()
    server.handleUpgrade(req, socket, head, (ws) => links.push(new FakeLink(ws, fate, windows)))
  })
  const claim = await serve(handler, {
    gateway: gateway.origin,
    drainMs: 0,
    logger: null,
    WebSocket,
    ...options,
  })
  const errors = []
  const states = []
  const ended = []
  claim.addEventListener('error', (e) => errors.push(e.error))
  claim.addEventListener('statechange', (e) => states.push(e.state))
  claim.addEventListener('exchange', (e) => ended.push(e))
  t.after(async () => {
    await claim.close()
    for (const socket of sockets) socket.destroy()
    await gateway.close()
  })
  return {
    gateway,
    claim,
    links,
    asked,
    errors,
    states,
    ended,
    /** Waits for a number of links, and returns the newest once it has sent its hello. */
    async link(n = 1) {
      await until(() => links.length >= n && links[n - 1].hello, `link ${n}`)
      return links[n - 1]
    },
  }
}

/** The gateway's end of a link. */
class FakeLink {
  /** The received messages, as in JSON, and how many of them each message of the WebSocket had. */
  messages = []
  groups = []
  sizes = []
  hello
  closed
  /** Results wait until `judge` sends them. */
  holds = false
  /** The function that returns the status of the result for a message. */
  status = () => ({ status: 'accepted' })
  #ws
  #windows

  constructor(ws, fate, windows) {
    this.#ws = ws
    this.#windows = windows
    ws.on('message', (data, binary) => {
      this.sizes.push(data.length)
      const came = binary ? unframe(data).messages : [JSON.parse(data)]
      this.groups.push(came.map((m) => m.type))
      for (const message of came) {
        this.messages.push(message)
        if (message.type === 'hello') {
          this.hello = message
          if (fate === 'mute' || fate === 'late') continue
          this.welcome()
          if (fate === 'brief') ws.terminate()
        } else if (message.id !== undefined && !this.holds) this.judge(message)
      }
    })
    ws.on('close', (code) => (this.closed = code))
  }

  welcome() {
    this.say({
      type: 'welcome',
      limits: {},
      exchangeWindow: 262_144,
      linkWindow: 4_194_304,
      ...this.#windows,
    })
  }

  /** Returns the received messages of some types. */
  of(...types) {
    return this.messages.filter((m) => types.includes(m.type))
  }

  /** Sends one message as text. */
  say(message) {
    this.#ws.send(JSON.stringify(message))
  }

  /** Sends messages in one binary message. */
  tell(...messages) {
    this.#ws.send(Buffer.concat(messages.map(frame)))
  }

  /** Sends bytes unchanged. */
  raw(data) {
    this.#ws.send(data)
  }

  /** Sends the result for a message. */
  judge({ id, seq }, more = this.status({ id, seq })) {
    this.say({ type: 'results', results: [{ id, ...(seq && { seq }), ...more }] })
  }

  close(code) {
    this.#ws.close(code)
  }

  cut() {
    this.#ws.terminate()
  }
}
