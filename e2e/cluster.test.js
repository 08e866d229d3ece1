// A page that serves at a cluster. Each request goes to another node than the one before it: requests of the page, of a
// browser, and of a bare socket.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { noNATS } from './nats.js'
import { visit } from './visitor.js'

describe('a page at a cluster', { skip: noBrowser || noNATS() }, () => {
  let gateway, browser
  before(async () => {
    gateway = await Gateway.startCluster('requests')
    browser = await startBrowser()
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  /** Opens a page of the gateway. */
  async function open(path) {
    const page = await (await browser.newContext()).newPage()
    await page.goto(gateway.url + path)
    return page
  }

  test('hello answers each visit, also after a reload', async () => {
    const page = await open('hello')
    const url = await page.getAttribute('a#link[href]', 'href')
    for (let i = 1; i <= 12; i++) {
      const { status, content } = await visit(url)
      assert.equal(status, 200)
      assert.equal(content.toString(), 'hello from this tab\n')
      await page.locator('#count', { hasText: String(i) }).waitFor()
    }
    await page.reload()
    assert.equal(await page.getAttribute('a#link[href]', 'href'), url, 'the label stays')
    assert.equal((await visit(url)).status, 200)
    await page.close()
  })

  for (const [transport, options] of [
    ['a link', '{}'],
    ['a stream', '{ WebSocket: null }'],
  ]) {
    describe(`a page by ${transport}`, () => {
      let url
      before(async () => {
        const page = await open('')
        url = await page.evaluate(`(async () => {
          const { serve } = await import('/sdk.js')
          const claim = await serve(
            (request, info) => {
              if (!info.upgrade) return new Response(info.body ?? info.content)
              const socket = info.upgrade()
              socket.onmessage = ({ data }) => socket.send(data)
            },
            { storage: null, ...${options} },
          )
          return claim.url
        })()`)
      })

      test('echoes an upload at each node', async () => {
        const content = Buffer.from(Array.from({ length: 3_000_001 }, (_, i) => (i * 7919) >> 3))
        for (let i = 0; i < 6; i++) {
          const got = await visit(url, { method: 'POST', content })
          assert.equal(got.status, 200)
          assert.ok(got.content.equals(content), `${got.content.length} bytes, not the same`)
        }
      })

      test('serves fetches and WebSockets of a browser', async () => {
        const visitor = await (await browser.newContext()).newPage()
        await visitor.goto(url)
        const seen = await visitor.evaluate(async () => {
          const got = []
          for (let i = 0; i < 6; i++) {
            const response = await fetch('/', { method: 'POST', body: `fetch ${i}` })
            got.push(await response.text())
          }
          for (let i = 0; i < 6; i++) {
            const socket = new WebSocket(location.href.replace(/^http/, 'ws'))
            await new Promise((resolve) => (socket.onopen = resolve))
            const closed = new Promise((resolve) => (socket.onclose = resolve))
            const echoed = new Promise((resolve) => (socket.onmessage = resolve))
            socket.send(`socket ${i}`)
            got.push((await echoed).data)
            socket.close(4000 + i)
            const { code, wasClean } = await closed
            got.push([code, wasClean])
          }
          return got
        })
        const numbers = [0, 1, 2, 3, 4, 5]
        assert.deepEqual(seen, [
          ...numbers.map((i) => `fetch ${i}`),
          ...numbers.flatMap((i) => [`socket ${i}`, [4000 + i, true]]),
        ])
      })
    })
  }

  test('every node carried requests to another', async () => {
    for (const node of gateway.nodes) {
      const metrics = await (await fetch(node)).text()
      const carried = [...metrics.matchAll(/^reversehttp_node_carried_total\S* (\d+)/gm)]
      assert.ok(
        carried.some(([, n]) => n > 0),
        `${node}: ${carried}`,
      )
    }
  })
})
