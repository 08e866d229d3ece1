// Content from a page: content of known length is sent with its length, and a stream is not delayed.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { browsers } from './browser.js'
import { limiting } from './clients/ways.js'
import { freePort, Gateway } from './gateway.js'
import { startSite } from './site.js'
import { startAll } from './start-all.js'
import { field, visit } from './visitor.js'

const size = 3_000_001
const all = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7919) >> 3))

for (const [name, { start, missing }] of Object.entries(browsers)) {
  describe(`content of a page, in ${name}`, { skip: missing }, () => served(start))
}

/** Claims in a page. It uses nothing outside itself, since it is sent to the page as text. */
async function servePage({ gateway, size, plain }) {
  if (plain) {
    delete Uint8Array.fromBase64
    delete Uint8Array.prototype.toBase64
  }
  const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7919) >> 3)
  // Sizes of content that the SDK sends in one request, as a Blob.
  globalThis.sent = []
  const fetch = (url, init) => {
    if (init.body?.size > size) globalThis.sent.push(init.body.size)
    return globalThis.fetch(url, init)
  }
  const answers = {
    '/blob': () => new Response(new Blob([bytes])),
    '/file': () => new Response(new File([bytes], 'name', { type: 'image/png' })),
    '/bytes': () => new Response(bytes),
    '/much': () => new Response(new Blob(Array(20).fill(bytes))),
    '/echo': (_, info) => new Response(info.content),
    // The test ends the stream.
    '/stream': () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(bytes)
            globalThis.end = () => controller.close()
          },
        }),
        { headers: { 'Content-Length': String(size) } },
      ),
  }
  const { serve } = await import(`${gateway}/sdk.js`)
  const handler = (request, info) => answers[new URL(request.url).pathname](request, info)
  const claim = await serve(handler, { gateway, fetch, storage: null })
  return claim.url
}

function served(startBrowser) {
  let gateway, browser, site, page, url

  before(async () => {
    ;[gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
    ;[page, url] = await open({})
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  /** Returns a page that serves. */
  async function open(options) {
    const page = await (await browser.newContext()).newPage()
    await page.goto(`${site.url}empty`)
    const origin = gateway.url.slice(0, -1)
    return [page, await page.evaluate(servePage, { gateway: origin, size, ...options })]
  }

  for (const [path, type] of [['blob'], ['file', 'image/png'], ['bytes']]) {
    test(`a ${path} goes in one request and has its length`, async () => {
      await page.evaluate(() => (globalThis.sent = []))
      const { fields, content } = await visit(`${url}${path}`)
      assert.ok(content.equals(all), `${content.length} bytes came, and not the same`)
      assert.equal(field(fields, 'Content-Length'), String(size))
      assert.equal(field(fields, 'Content-Type'), type)
      assert.equal(await page.evaluate(() => globalThis.sent.length), 1)
    })
  }

  test('HEAD returns the length', async () => {
    const { fields, content } = await visit(`${url}file`, { method: 'HEAD' })
    assert.deepEqual([field(fields, 'Content-Length'), content.length], [String(size), 0])
  })

  test('a stream arrives before its end, though its length is known', async () => {
    const { hostname, port } = new URL(url)
    const headers = { Host: `${hostname}:${port}` }
    const response = await new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path: '/stream', headers }
      request(options, resolve).on('error', reject).end()
    })
    assert.equal(response.headers['content-length'], String(size))
    const chunks = []
    for await (const chunk of response) {
      chunks.push(chunk)
      if (Buffer.concat(chunks).length < size) continue
      // All content has arrived, but the handler has not ended the stream.
      await page.evaluate(() => globalThis.end())
    }
    assert.ok(Buffer.concat(chunks).equals(all), 'it is not the same')
  })

  test('four visitors get it at the same time', async () => {
    const visits = await Promise.all([1, 2, 3, 4].map(() => visit(`${url}blob`)))
    for (const { content } of visits) assert.ok(content.equals(all), `${content.length} bytes came`)
  })

  test('a visitor who does not read it delays no other', async (t) => {
    await page.evaluate(() => (globalThis.sent = []))
    const { hostname, port } = new URL(url)
    const headers = { Host: `${hostname}:${port}` }
    const slow = request({ host: '127.0.0.1', port, path: '/much', headers })
    slow.end()
    t.after(() => slow.destroy())
    // The test does not read it.
    const [response] = await once(slow, 'response')
    assert.equal(response.headers['content-length'], String(20 * size))
    const { fields, content } = await visit(`${url}blob`)
    assert.ok(content.equals(all), `${content.length} bytes came, and not the same`)
    assert.equal(field(fields, 'Content-Length'), String(size))
    assert.equal((await visit(`${url}echo`, { method: 'POST', content: 'x' })).status, 200)
    const [sent, ...others] = await page.evaluate(() => globalThis.sent)
    assert.ok(sent > 20 * size && !others.length, `${[sent, others]}`)
  })

  test('behind a proxy with a limit of 1 MiB it goes in parts, after one attempt in one piece', async (t) => {
    const proxy = await limiting(1 << 20)
    t.after(proxy.close)
    proxy.to = await freePort()
    const flags = ['--listen', `127.0.0.1:${proxy.to}`]
    flags.push('--public-url', `http://{label}.localhost:${proxy.port}/`)
    const gateway = await Gateway.start(...flags)
    t.after(() => gateway.stop())
    const [page, url] = await open({ gateway: `http://localhost:${proxy.port}` })
    t.after(() => page.close())
    for (let i = 0; i < 2; i++) {
      const { content } = await visit(`${url}blob`)
      assert.ok(content.equals(all), `${content.length} bytes came, and not the same`)
    }
    assert.deepEqual([proxy.refused, await page.evaluate(() => globalThis.sent.length)], [1, 1])
  })

  for (const plain of [false, true]) {
    const by = plain ? 'where the platform has none' : 'by the platform'
    test(`base64 goes both ways ${by}`, async () => {
      const [page, url] = await open({ plain })
      for (const length of [1, 2, 3, 254, 255, 256, 0x8000, 0x8001, 0x8002]) {
        const content = Buffer.alloc(length, Buffer.from(Array.from({ length: 256 }, (_, i) => i)))
        content[0] = 0xff
        const got = await visit(`${url}echo`, { method: 'POST', content })
        assert.ok(got.content.equals(content), `${length}: ${got.content.toString('hex', 0, 40)}`)
      }
      await page.close()
    })
  }
}
