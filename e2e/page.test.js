// A page with only fetch is a full HTTP server: with the real gateway, real browsers, and visitors on raw sockets.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { browsers, noBrowser, startBrowser } from './browser.js'
import { Gateway, gatewayBinary } from './gateway.js'
import { claimedURL, openServer, startSite } from './site.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { field, valuesOf, visit } from './visitor.js'

for (const [name, { start, missing }] of Object.entries(browsers)) {
  describe(`a page that is a server, in ${name}`, { skip: missing }, () => served(start))
}

function served(startBrowser) {
  let gateway, browser, site, context, page, url

  before(async () => {
    ;[gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
    context = await browser.newContext()
    page = await context.newPage()
    url = await openServer(page, site.url, gateway)
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  test('answers GET', async () => {
    const { status, fields, content } = await visit(`${url}hello`)
    assert.equal(status, 200)
    assert.equal(field(fields, 'Content-Type'), 'text/plain')
    assert.equal(content.toString(), 'hello from a tab')
  })

  test('answers POST with text', async () => {
    const text = JSON.stringify({ greeting: 'grüß Gott ✓ 😀' })
    const fields = [['Content-Type', 'application/json']]
    const received = await visit(`${url}echo`, { method: 'POST', fields, content: text })
    assert.equal(received.content.toString(), text)
    assert.equal(field(received.fields, 'Content-Type'), 'application/json')
  })

  test('answers POST with every possible byte', async () => {
    const bytes = Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i * 7) % 256))
    const { status, content } = await visit(`${url}echo`, { method: 'POST', content: bytes })
    assert.equal(status, 200)
    assert.ok(content.equals(bytes), `${content.length} bytes came back, and not the same`)
  })

  test('streams tokens one by one', async () => {
    const { hostname: host, port } = new URL(url)
    const response = await new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/tokens', headers: { Host: host } }, resolve)
        .on('error', reject)
        .end()
    })
    response.setEncoding('utf8')
    let seen = ''
    response.on('data', (text) => (seen += text))
    const ended = once(response, 'end')
    await page.waitForFunction(() => globalThis.token, { polling: 100 })
    for (const text of ['one ', 'after ', 'the ', 'other']) {
      const so = seen + text
      await page.evaluate((text) => globalThis.token(text), text)
      await until(() => seen === so, `the visitor sees ${text}`)
    }
    await page.evaluate(() => globalThis.token())
    await ended
    assert.equal(seen, 'one after the other')
  })

  test('streams an upload back that is longer than an envelope holds', async () => {
    const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 31) % 251))
    const { status, content } = await visit(`${url}through`, { method: 'POST', content: bytes })
    assert.equal(status, 200)
    assert.ok(content.equals(bytes), `${content.length} bytes came back, and not the same`)
  })

  test('reads content that is longer than an envelope holds by every member of its request', async () => {
    const content = JSON.stringify({ paper: 'grün '.repeat(60_000) })
    const members = await page.evaluate(() => Object.keys(globalThis.readers))
    assert.ok(members.length >= 6, `${members}`)
    for (const member of members) {
      const fields = [['Content-Type', 'application/json']]
      const got = await visit(`${url}read?${member}`, { method: 'POST', fields, content })
      assert.equal(got.status, 200, member)
      assert.ok(got.content.equals(Buffer.from(content)), `${member}: ${got.content.length} bytes`)
    }
  })

  test('gets cookies and sets two', async () => {
    const { fields, content } = await visit(`${url}cookies`, { fields: [['Cookie', 'a=1; c=3']] })
    assert.deepEqual(JSON.parse(content), ['a=1; c=3'])
    assert.deepEqual(valuesOf(fields, 'Set-Cookie'), ['a=1; Path=/', 'b=2; Path=/; HttpOnly'])
  })

  test('keeps cookies in the browser of a visitor', async () => {
    const visitor = await browser.newContext()
    const tab = await visitor.newPage()
    await tab.goto(`${url}cookies`)
    await tab.goto(`${url}cookies`)
    assert.deepEqual(JSON.parse(await tab.evaluate(() => document.body.textContent)), ['a=1; b=2'])
    await visitor.close()
  })

  test('answers with a 404 and a 500 of its own', async () => {
    const missing = await visit(`${url}nowhere`)
    assert.equal(missing.status, 404)
    assert.equal(missing.content.toString(), 'nothing here')
    const failed = await visit(`${url}own-500`)
    assert.equal(failed.status, 500)
    assert.equal(failed.content.toString(), 'my own')
    for (const { fields } of [missing, failed]) {
      assert.equal(field(fields, 'Proxy-Status'), undefined, 'it is not an error of the gateway')
    }
  })

  test('answers 500 when its handler throws, shows the error in its console, and continues', async () => {
    await page.evaluate(() => {
      console.error = ({ message, cause }) => (globalThis.shown = [message, cause.message])
    })
    const { status, content } = await visit(`${url}throw`)
    assert.equal(status, 500)
    await page.waitForFunction(() => globalThis.shown, { polling: 100 })
    assert.deepEqual(await page.evaluate(() => globalThis.shown), [
      'GET /throw: as the test says',
      'as the test says',
    ])
    assert.doesNotMatch(
      content.toString(),
      /as the test says/,
      'the fault is nobody else’s business',
    )
    assert.equal((await visit(`${url}hello`)).status, 200)
  })

  test('learns that a visitor left', async () => {
    const { host, port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write(`GET /wait HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    await page.waitForFunction(() => document.body.dataset.waiting === 'yes', { polling: 100 })
    socket.destroy()
    await page.waitForFunction(() => document.body.dataset.waiting === 'aborted', { polling: 100 })
  })

  test('answers a hundred visitors at once', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => visit(`${url}hello`)))
    assert.deepEqual(new Set(answers.map((a) => a.status)), new Set([200]))
  })

  test('keeps its label when it is loaded again', async () => {
    const token = await page.evaluate(() => globalThis.claim.token)
    await page.reload()
    assert.equal(await claimedURL(page), url)
    assert.equal(await page.evaluate(() => globalThis.claim.token), token)
    assert.equal((await visit(`${url}hello`)).status, 200)
  })

  test('visitors who come while it is loaded again are answered', async (t) => {
    // Visitors wait at this gateway for as long as a reload may take here.
    const patient = await Gateway.start('--no-poller', '10m')
    t.after(() => patient.stop())
    const page = await context.newPage()
    const url = await openServer(page, site.url, patient)
    const visits = []
    let done = false
    const visiting = (async () => {
      for (; !done; await sleep(5)) visits.push((await visit(`${url}hello`)).status)
    })()
    for (let i = 0; i < 3; i++) {
      await page.reload()
      await claimedURL(page)
    }
    done = true
    await visiting
    t.diagnostic(`${visits.length} visitors`)
    assert.deepEqual(new Set(visits), new Set([200]))
    await page.close()
  })

  test('lets a second tab of its label stand by, and each tab takes over when the other closes', async () => {
    const opened = new Promise((resolve) => page.once('popup', resolve))
    await page.evaluate(() => void window.open(location.href))
    const second = await opened
    assert.equal(await claimedURL(second), url)
    const stands = (tab) =>
      tab.waitForFunction(() => globalThis.claim?.state === 'standby', { polling: 100 })
    const tabOf = async () => {
      const { status, content } = await visit(`${url}tab`)
      return status === 200 && `${content}`
    }
    await stands(second)
    const first = await tabOf()
    for (let i = 0; i < 5; i++) assert.equal(await tabOf(), first)
    await page.reload()
    await stands(page)
    const then = await until(tabOf, 'the second tab answers')
    assert.notEqual(then, first)
    await second.close()
    assert.notEqual(await until(tabOf, 'the first tab answers'), then)
    await page.waitForFunction(() => globalThis.claim.state === 'online', { polling: 100 })
  })

  test('is replaced by a 503 once its tab is closed', async () => {
    await page.close()
    // The request that ends its session may still be on its way.
    const count = (what) => gateway.log.split(`msg="session ${what}"`).length
    await until(() => count('opened') === count('closed'), 'the end of its sessions')
    const { status, fields, content } = await visit(`${url}hello`)
    assert.equal(status, 503)
    assert.equal(JSON.parse(content).code, 'no_handler')
    assert.match(field(fields, 'Proxy-Status'), /^reversehttp;.*handed=\?0/)
    assert.ok(Number(field(fields, 'Retry-After')) > 0)
  })

  test('is a 404 if nobody claims the label', async () => {
    const { status, content } = await visit(`http://nobody.localhost:${gateway.port}/`)
    assert.equal(status, 404)
    assert.equal(JSON.parse(content).code, 'no_claim')
  })
}

test(
  'a page has a link where its policy allows one, and polls otherwise',
  { skip: noBrowser },
  async (t) => {
    const [gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
    t.after(async () => {
      await browser.close()
      await site.close()
      await gateway.stop()
    })
    const { origin, host } = new URL(gateway.url)
    for (const [sources, way] of [
      [origin, 'poll'],
      [`${origin} ws://${host}`, 'link'],
    ]) {
      const page = await browser.newPage()
      const used = new Promise((resolve) => {
        page.on('request', (r) => r.url().endsWith('/requests') && resolve('poll'))
        page.on('websocket', (link) => link.on('framereceived', () => resolve('link')))
      })
      const url = await openServer(page, site.url, gateway, { csp: `connect-src ${sources}` })
      const { status } = await visit(`${url}hello`)
      assert.equal(status, 200, sources)
      assert.equal(await used, way, sources)
      await page.close()
    }
  },
)

test(
  'a webhook reaches page code seconds after nothing ran at all',
  { skip: noBrowser },
  async (t) => {
    gatewayBinary()
    const sinceMs = performance.now()
    const [gateway, browser] = await startAll(Gateway.start(), startBrowser())
    t.after(async () => {
      await browser.close()
      await gateway.stop()
    })
    const page = await browser.newPage()
    await page.goto(`${gateway.url}hello`)
    const url = await page.getAttribute('a#link[href]', 'href')
    const { status, content } = await visit(url, { method: 'POST', content: '{"event":"ping"}' })
    const tookMs = performance.now() - sinceMs
    assert.equal(status, 200)
    assert.equal(content.toString(), 'hello from this tab\n')
    t.diagnostic(`gateway, browser, page, claim and webhook: ${Math.round(tookMs)} ms`)
  },
)
