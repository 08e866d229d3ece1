// A WebSocket that a page or a Node program serves to a browser's WebSocket, and to a visitor on a raw socket.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import WebSocket from 'ws'
import { browsers, noBrowser, noFirefox, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { until } from './until.js'
import { closing, frame, framesOf } from '../sdk-js/test/visitor-socket.js'

const [text, binary, close, ping, pong] = [1, 2, 8, 9, 10]

let gateway, browser
before(async () => {
  gateway = await Gateway.start()
  if (!noBrowser) browser = await startBrowser()
})
after(async () => {
  await browser?.close()
  await gateway?.stop()
})

/** What both serve, as text, because a page cannot use this file. `told` has the events of its sockets. */
const serveEcho = `async (serve, gateway, label, options) => {
  const told = []
  const claim = await serve(
    (request, info) => {
      const { pathname } = new URL(request.url)
      if (!info.upgrade) return new Response('upgrade, please', { status: 426 })
      if (pathname === '/refused') return new Response('no', { status: 403 })
      const socket = info.upgrade(pathname === '/chat' ? { protocol: 'chat' } : {})
      socket.onopen = () => pathname === '/bye' && socket.close(4001, 'bye')
      socket.onmessage = ({ data }) => socket.send(data)
      socket.onclose = (e) => told.push([pathname, e.code, e.reason, e.wasClean])
      info.signal.addEventListener('abort', () => told.push([pathname, 'aborted']))
    },
    { gateway, label, storage: null, ...options },
  )
  return { claim, told }
}`

/** Options of a page, which notes in `linked` whether anything arrived by its link. */
const byLink = `{
  WebSocket: class extends WebSocket {
    constructor(...of) {
      super(...of)
      this.addEventListener('message', () => (globalThis.linked = true))
    }
  },
}`

/** Serves from a page of the gateway, with options. Returns the notes, and a function that closes it. */
async function page(label, browser, options = byLink) {
  const context = await browser.newContext()
  const page = await context.newPage()
  const polls = []
  page.on('request', (r) => r.url().endsWith('/requests') && polls.push(r.headers().accept))
  await page.goto(gateway.url)
  await page.evaluate(`(async () => {
    const { serve } = await import('/sdk.js')
    globalThis.served = await (${serveEcho})(serve, undefined, '${label}', ${options})
  })()`)
  return {
    polls: () => polls,
    linked: () => page.evaluate('!!globalThis.linked'),
    told: () => page.evaluate('served.told'),
    closeClaim: () => page.evaluate('served.claim.close()'),
    stop: () => context.close(),
  }
}

/** Serves from this process. */
async function node(label, WebSocket = null) {
  const { serve } = await import('../sdk-js/test/built.js')
  const { claim, told } = await (0, eval)(serveEcho)(serve, gateway.url, label, { WebSocket })
  return { told: () => told, closeClaim: () => claim.close(), stop: () => claim.close() }
}

/** Serves from a page in Firefox. */
async function firefox(label) {
  const browser = await browsers.Firefox.start()
  return { ...(await page(label, browser)), stop: () => browser.close() }
}

for (const [name, start, skip] of [
  ['page', (label) => page(label, browser), noBrowser],
  ['page-by-stream', (label) => page(label, browser, '{ WebSocket: null }'), noBrowser],
  ['page-in-firefox', firefox, noFirefox],
  ['node', (label) => node(label), false],
  ['node-by-link', (label) => node(label, WebSocket), false],
]) {
  describe(`a WebSocket served by a ${name}`, { skip }, () => {
    const label = `ws-${name}`
    let served
    before(async () => (served = await start(label)))
    after(() => served?.stop())

    test('echoes what a visitor sends, in fragments and with pings between', async () => {
      const visitor = await upgraded(label, '/raw')
      visitor.write(frame(text, 'frag', { fin: false }))
      visitor.write(frame(ping, 'now'))
      visitor.write(frame(0, 'ment ✓'))
      await visitor.has([pong, 'now'], [text, 'fragment ✓'])
      visitor.write(frame(binary, Buffer.from([0, 255, 128])))
      visitor.write(frame(close, closing(1000, 'done')))
      await visitor.has(
        [pong, 'now'],
        [text, 'fragment ✓'],
        [binary, '\x00\xff\x80'],
        [close, 1000],
      )
      await visitor.ended
      await until(async () => (await served.told()).some((t) => t[0] === '/raw'), 'the close event')
      const closed = (await served.told()).find((t) => t[0] === '/raw')
      assert.deepEqual(closed, ['/raw', 1000, 'done', true])
    })

    test('refuses frames that break the rules', async () => {
      for (const [sent, code] of [
        [frame(text, 'x', { mask: null }), 1002],
        [frame(text, Buffer.from('cebaff', 'hex')), 1007],
        [frame(close, closing(1005)), 1002],
      ]) {
        const visitor = await upgraded(label, '/bad')
        visitor.write(sent)
        await visitor.has([close, code])
        await visitor.ended
      }
    })

    test('carries a message of a megabyte, both ways', async () => {
      const visitor = await upgraded(label, '/large')
      const large = Array.from({ length: 1 << 20 }, (_, i) =>
        String.fromCharCode(97 + (i % 26)),
      ).join('')
      visitor.write(frame(text, large))
      await visitor.has([text, large])
      visitor.destroy()
    })

    test('reports visitors who leave without a Close frame', async () => {
      const visitor = await upgraded(label, '/gone')
      visitor.write(frame(text, 'hi'))
      await visitor.has([text, 'hi'])
      visitor.destroy()
      const told = async () => (await served.told()).filter((t) => t[0] === '/gone')
      await until(
        async () => (await told()).some((t) => t[1] === 'aborted'),
        'the abort of the signal',
      )
      assert.deepEqual((await told())[0], ['/gone', 1006, '', false])
    })

    test('answers a request without upgrade, and can refuse an upgrade', async () => {
      const plain = await fetchRaw(label, '/plain')
      assert.match(plain, /^HTTP\/1\.1 426 /)
      const refused = await fetchRaw(label, '/refused', handshake)
      assert.match(refused, /^HTTP\/1\.1 403 /)
      assert.match(refused, /no$/)
    })

    test('exchanges messages with the WebSocket of a browser', { skip: noBrowser }, async () => {
      const seen = await visiting(label, '/browser', async (socket, closed) => {
        socket.binaryType = 'arraybuffer'
        const got = []
        const count = (n) =>
          new Promise((resolve) => {
            socket.onmessage = ({ data }) => {
              got.push(typeof data === 'string' ? data : [...new Uint8Array(data)])
              if (got.length === n) resolve()
            }
          })
        const all = count(1002)
        for (let i = 0; i < 1000; i++) socket.send(`message ${i}`)
        socket.send(Uint8Array.of(0, 128, 255))
        socket.send('ä€😀')
        await all
        socket.close(4000, 'enough')
        return [
          got.slice(0, 1000).every((m, i) => m === `message ${i}`),
          ...got.slice(1000),
          await closed,
        ]
      })
      assert.deepEqual(seen, [true, [0, 128, 255], 'ä€😀', [4000, 'enough', true]])
    })

    test('closes, and chooses a subprotocol', { skip: noBrowser }, async () => {
      const bye = await visiting(label, '/bye', (_, closed) => closed)
      assert.deepEqual(bye, [4001, 'bye', true])
      const chat = await visiting(label, '/chat', (socket) => socket.protocol, ['mail', 'chat'])
      assert.equal(chat, 'chat')
      const refused = await visiting(label, '/refused', (_, closed) => closed)
      assert.equal(refused[0], 1006)
    })

    test('is closed with 1001 when its claim is', async () => {
      const visitor = await upgraded(label, '/last')
      visitor.write(frame(text, 'hi'))
      await visitor.has([text, 'hi'])
      const closed = served.closeClaim()
      await visitor.has([text, 'hi'], [close, 1001])
      visitor.write(frame(close, closing(1001)))
      await Promise.all([visitor.ended, closed])
      const last = (await served.told()).find((t) => t[0] === '/last')
      assert.deepEqual(last, ['/last', 1001, '', true])
      if (name === 'page-by-stream') {
        assert.ok(served.polls().length)
        for (const form of served.polls()) assert.match(form, /ndjson/)
      } else if (served.linked) assert.ok(await served.linked(), 'a link')
    })
  })
}

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const handshake = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${key}`,
]
const headOf = (label, path, fields) =>
  [`GET ${path} HTTP/1.1`, `Host: ${label}.localhost:${gateway.port}`, ...fields, '', ''].join(
    '\r\n',
  )

/** Returns the whole answer to a request on its own connection, as text. */
async function fetchRaw(label, path, fields = []) {
  const socket = connect(gateway.port, '127.0.0.1')
  let all = ''
  socket.on('data', (chunk) => (all += chunk))
  socket.write(headOf(label, path, [...fields, ...(fields.length ? [] : ['Connection: close'])]))
  await until(() => /\r\n\r\n.+/s.test(all), `an answer to ${path}`)
  socket.destroy()
  return all
}

/** A visitor whose connection is upgraded. */
async function upgraded(label, path) {
  const socket = connect(gateway.port, '127.0.0.1')
  let all = Buffer.alloc(0)
  socket.on('data', (chunk) => (all = Buffer.concat([all, chunk])))
  socket.on('error', () => {})
  const ended = new Promise((resolve) => socket.on('end', resolve))
  socket.write(headOf(label, path, handshake))
  const end = await until(() => all.indexOf('\r\n\r\n') + 1, `an answer to ${path}`)
  const head = all.subarray(0, end - 1).toString()
  assert.match(head, /^HTTP\/1\.1 101 /)
  const accept = createHash('sha1')
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64')
  assert.equal(head.match(/\r\nSec-Websocket-Accept: (.*)/i)?.[1], accept)
  const frames = () => framesOf(all.subarray(end + 3))
  return {
    write: (bytes) => socket.write(bytes),
    destroy: () => socket.destroy(),
    ended,
    /** Waits for as many frames as are expected, and compares them. */
    async has(...want) {
      await until(
        () => frames().length >= want.length,
        `${want.length} frames, not ${frames().length}`,
      )
      assert.deepEqual(frames(), want)
    },
  }
}

/** Runs a function with a WebSocket of another page; `closed` resolves with code, reason and wasClean. */
async function visiting(label, path, use, protocols = []) {
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    return await page.evaluate(`(async () => {
      const url = ${JSON.stringify(`ws://${label}.localhost:${gateway.port}${path}`)}
      const socket = new WebSocket(url, ${JSON.stringify(protocols)})
      const closed = new Promise((resolve) => {
        socket.onclose = ({ code, reason, wasClean }) => resolve([code, reason, wasClean])
      })
      await Promise.race([closed, new Promise((resolve) => (socket.onopen = resolve))])
      return (${use})(socket, closed)
    })()`)
  } finally {
    await context.close()
  }
}
