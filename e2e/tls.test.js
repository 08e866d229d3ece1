// The gateway speaks TLS itself, so browsers use HTTP/2, over which a page can stream request content.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { selfSigned } from './certificate.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { until } from './until.js'

describe('over TLS', { skip: noBrowser }, () => {
  let gateway, browser, context, certificate

  before(async () => {
    certificate = selfSigned()
    ;[gateway, browser] = await startAll(Gateway.start(...certificate.flags), startBrowser())
    context = await browser.newContext({ ignoreHTTPSErrors: true })
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
    certificate?.remove()
  })

  test('a page streams the content of a request to a page that handles it', async () => {
    const server = await context.newPage()
    const seen = []
    await server.exposeFunction('seen', (text) => seen.push(text))
    await server.goto(gateway.url)
    const url = await server.evaluate(async () => {
      const { serve } = await import('/sdk.js')
      globalThis.claim = await serve(async (request) => {
        if (request.method === 'GET') {
          return new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } })
        }
        let size = 0
        for (const reader = request.body.getReader(); ;) {
          const { done, value } = await reader.read()
          if (done) return new Response(`${size} bytes`)
          size += value.length
          await globalThis.seen(new TextDecoder().decode(value.slice(0, 5)))
        }
      })
      return globalThis.claim.url
    })
    assert.ok(url.startsWith('https://'), url)

    const visitor = await context.newPage()
    await visitor.goto(url)
    const protocol = () => performance.getEntriesByType('navigation')[0].nextHopProtocol
    assert.equal(await visitor.evaluate(protocol), 'h2')
    await visitor.evaluate(() => {
      const { readable, writable } = new TransformStream()
      globalThis.writer = writable.getWriter()
      globalThis.answer = fetch('/', { method: 'POST', body: readable, duplex: 'half' }).then((r) =>
        r.text(),
      )
    })
    // Each piece is sent after the handler has received the previous one.
    for (const piece of ['first', 'other', 'third']) {
      await visitor.evaluate((piece) => {
        void globalThis.writer.write(new TextEncoder().encode(piece))
      }, piece)
      await until(() => seen.includes(piece), `the handler sees ${piece}`)
    }
    const answer = await visitor.evaluate(async () => {
      await globalThis.writer.close()
      return globalThis.answer
    })
    assert.equal(answer, '15 bytes')
    assert.deepEqual(seen, ['first', 'other', 'third'])
  })

  test('a WebSocket passes', async () => {
    const server = await context.newPage()
    await server.goto(gateway.url)
    const url = await server.evaluate(async () => {
      const { serve } = await import('/sdk.js')
      globalThis.claim = await serve((request, info) => {
        if (!info.upgrade) return new Response('a page')
        const socket = info.upgrade()
        socket.onmessage = (e) => socket.send(`echo ${e.data}`)
      })
      return globalThis.claim.url
    })
    const visitor = await context.newPage()
    await visitor.goto(url)
    const echo = await visitor.evaluate(
      (url) =>
        new Promise((resolve, reject) => {
          const socket = new WebSocket(url.replace('https:', 'wss:'))
          socket.onopen = () => socket.send('hello')
          socket.onmessage = (e) => resolve(e.data)
          socket.onerror = () => reject(new Error('no WebSocket'))
        }),
      url,
    )
    assert.equal(echo, 'echo hello')
  })
})
