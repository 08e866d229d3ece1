// The connection of a claim in a Worker: it stays while its page hangs, is hidden or is frozen, and visitors get 503.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { noBrowser, noFirefox, startFirefox, startUnfocused } from './browser.js'
import { Gateway } from './gateway.js'
import { openServer, startSite } from './site.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { field, visit } from './visitor.js'

for (const [name, start, missing] of [
  ['Chromium', startUnfocused, noBrowser],
  ['Firefox', startFirefox, noFirefox],
]) {
  describe(`a page with its connection in a Worker, in ${name}`, { skip: missing }, () =>
    served(name, start),
  )
}

function served(name, start) {
  let gateway, browser, site, hold, context, page, url

  before(async () => {
    ;[gateway, browser, site, hold] = await startAll(
      Gateway.start(),
      start(),
      startSite(),
      startHold(),
    )
    context = browser.newContext ? await browser.newContext() : browser
    page = await context.newPage()
    url = await openServer(page, site.url, gateway, { from: 'worker' })
  })
  after(async () => {
    await browser?.close()
    hold?.close()
    await site?.close()
    await gateway?.stop()
  })

  const states = () => page.evaluate('states.splice(0)')
  const session = () =>
    page.evaluate(async () => {
      const { claim, token } = globalThis.claim.domain
      const headers = { Authorization: `Bearer ${token}` }
      const { sessions } = await (await fetch(claim, { headers })).json()
      return sessions.map(({ id }) => id)
    })
  /** Makes the page hang until the returned function is called. */
  const hang = async () => {
    const held = hold.next()
    await page.evaluate((url) => {
      setTimeout(() => {
        const request = new XMLHttpRequest()
        request.open('GET', url, false)
        request.send()
      })
    }, hold.url)
    return held
  }
  const problem = ({ status, fields, content }) => {
    assert.ok(Number(field(fields, 'Retry-After')) > 0, 'it says when to come again')
    assert.equal(field(fields, 'Proxy-Status'), undefined, 'the page’s side answers')
    return [status, JSON.parse(content).code]
  }

  test('answers, and streams content both ways', async () => {
    assert.equal(`${(await visit(`${url}hello`)).content}`, 'hello from a tab')
    const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 31) % 251))
    const { status, content } = await visit(`${url}through`, { method: 'POST', content: bytes })
    assert.equal(status, 200)
    assert.ok(content.equals(bytes), `${content.length} bytes came back, and not the same`)
    const { fields } = await visit(`${url}cookies`)
    assert.equal(fields.filter(([name]) => /^set-cookie$/i.test(name)).length, 2)
    assert.equal((await visit(`${url}own-500`)).status, 500)
    if (name === 'Chromium') assert.equal(page.workers().length, 1)
  })

  test('that hangs gets no request, and its visitors 503 with Retry-After, by the same session', async () => {
    assert.deepEqual(await states(), ['online'])
    await page.evaluate(() => (globalThis.counted = 0))
    const was = await session()
    assert.equal(was.length, 1)
    const begun = visit(`${url}wait-for-go`)
    await page.waitForFunction(() => globalThis.go, { polling: 100 })
    const release = await hang()
    const late = visit(`${url}count`, { method: 'POST' })
    assert.deepEqual(problem(await late), [503, 'busy'])
    for (let i = 0; i < 5; i++) {
      assert.deepEqual(problem(await visit(`${url}count`, { method: 'POST' })), [503, 'busy'])
    }
    release()
    await page.waitForFunction('states.length === 2', { polling: 100 })
    assert.deepEqual(await states(), ['busy', 'online'])
    const { status, content } = await visit(`${url}count`, { method: 'POST' })
    assert.deepEqual(
      [status, `${content}`],
      [200, '1'],
      'no request of a refused visitor was begun',
    )
    await page.evaluate(() => globalThis.go())
    assert.equal((await begun).status, 200, 'what was begun is answered')
    assert.deepEqual(await session(), was)
  })

  test('learns that a visitor left', async () => {
    const { hostname, port } = new URL(url)
    const visitor = request({ host: '127.0.0.1', port, path: '/wait', headers: { Host: hostname } })
    visitor.on('error', () => {}).end()
    await page.waitForFunction(() => document.body.dataset.waiting === 'yes', { polling: 100 })
    visitor.destroy()
    await page.waitForFunction(() => document.body.dataset.waiting === 'aborted', { polling: 100 })
  })

  test('answers in a hidden tab, and is asleep if it does not', async () => {
    const front = await context.newPage()
    await front.bringToFront()
    await until(() => page.evaluate(() => document.visibilityState === 'hidden'), 'it is hidden')
    assert.equal((await visit(`${url}hello`)).status, 200)
    const release = await hang()
    assert.deepEqual(problem(await visit(`${url}hello`)), [503, 'asleep'])
    release()
    await page.waitForFunction('states.length === 2', { polling: 100 })
    assert.deepEqual(await states(), ['asleep', 'online'])
    assert.equal((await visit(`${url}hello`)).status, 200)
    await front.close()
    await page.bringToFront()
  })

  // WebDriver BiDi cannot freeze pages, and Firefox keeps no page for going back that serves.
  const inChromium = name === 'Chromium' ? test : () => {}

  inChromium('that is frozen says so, leaves its session, and comes back', async () => {
    const devtools = await page.createCDPSession()
    const ended = () => gateway.log.split('reason=left').length
    const before = ended()
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
    await until(async () => (await page.evaluate('claim.state')) === 'frozen', 'the event')
    await until(() => ended() > before, 'the end of the session')
    const { status, fields } = await visit(`${url}hello`)
    assert.equal(status, 503)
    assert.match(field(fields, 'Proxy-Status'), /handed=\?0/)
    await devtools.send('Page.setWebLifecycleState', { state: 'active' })
    await until(async () => (await visit(`${url}hello`)).status === 200, 'an answer')
    await until(async () => (await page.evaluate('claim.state')) === 'online', 'the state')
    assert.equal((await states())[0], 'frozen')
  })

  inChromium('is kept while another is shown, and serves when it is back', async () => {
    const page = await context.newPage()
    let url
    // A browser on a busy machine keeps no page.
    for (let n = 1; n < 5; n++) {
      url = await openServer(page, site.url, gateway, { from: 'worker' })
      await page.waitForFunction('states.length', { polling: 100 })
      await page.evaluate(() =>
        addEventListener('pageshow', (e) => (globalThis.kept = e.persisted)),
      )
      await page.goto(`${site.url}empty`)
      await page.goBack()
      if (await page.evaluate(() => globalThis.kept)) break
    }
    await page.waitForFunction("kept && claim.state === 'online'", { polling: 100 })
    assert.equal((await page.evaluate('states'))[1], 'frozen')
    const [{ notRestoredReasons }] = await page.evaluate(() =>
      performance.getEntriesByType('navigation').map((entry) => entry.toJSON()),
    )
    assert.equal(notRestoredReasons, null)
    assert.equal((await visit(`${url}hello`)).status, 200)
    await page.close()
  })

  test('waits for a request', async () => {
    await page.evaluate(() => void (globalThis.waited = globalThis.claim.waitFor('/callback')))
    const { content } = await until(async () => {
      const got = await visit(`${url}callback?code=1`)
      return got.status === 200 && got
    }, 'the request that is waited for')
    assert.match(`${content}`, /You can close this page/)
    const at = await page.evaluate(async () => (await globalThis.waited).url)
    assert.match(at, /\/callback\?code=1$/)
    assert.equal((await visit(`${url}callback?code=1`)).status, 404)
  })

  test('keeps its label when it is loaded again, and leaves its session when it is closed', async () => {
    await page.reload()
    await page.waitForFunction(() => globalThis.claim, { polling: 100 })
    assert.equal(await page.evaluate(() => globalThis.claim.url), url)
    assert.equal((await visit(`${url}hello`)).status, 200)
    await page.evaluate(() => globalThis.claim.close())
    assert.equal(await page.evaluate(() => globalThis.claim.state), 'closed')
    await page.close()
    const count = (what) => gateway.log.split(`msg="session ${what}"`).length
    await until(() => count('opened') === count('closed'), 'the end of its sessions')
  })

  for (const [csp, works] of [
    ["worker-src 'none'", false],
    ["require-trusted-types-for 'script'; trusted-types 'none'", false],
    ["require-trusted-types-for 'script'; trusted-types reversehttp", true],
  ]) {
    test(`serves ${works ? 'with a Worker' : 'in the page'} with the policy ${csp}`, async () => {
      const page = await context.newPage()
      await page.evaluateOnNewDocument(() => {
        globalThis.Worker = class extends Worker {
          constructor(...of) {
            super(...of)
            this.addEventListener('message', () => (globalThis.works = true), { once: true })
          }
        }
      })
      const url = await openServer(page, site.url, gateway, { from: 'worker', csp })
      assert.equal((await visit(`${url}hello`)).status, 200)
      assert.equal(await page.evaluate(() => !!globalThis.works), works)
      await page.close()
    })
  }

  test('rejects like serve if the label is taken', async () => {
    const taken = await fetch(`${gateway.url}claims`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ label: 'taken', token: 'a-token-of-somebody-else' }),
    })
    assert.equal(taken.status, 201)
    const page = await context.newPage()
    await page.goto(`${site.url}empty`)
    const refused = await page.evaluate(async (gateway) => {
      const [{ serveFromWorker }, { ReverseHttpError }] = await Promise.all([
        import(`${gateway}sdk/worker.js`),
        import(`${gateway}sdk.js`),
      ])
      const options = { gateway, label: 'taken', token: 'another-token-of-mine' }
      return serveFromWorker(() => new Response(), options).catch((e) => [
        e instanceof ReverseHttpError,
        e.code,
      ])
    }, gateway.url)
    assert.deepEqual(refused, [true, 'label_taken'])
    await page.close()
  })
}

/** Starts a server that answers a request on demand. */
async function startHold() {
  const server = createServer((_, response) => server.emit('held', response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    next: async () => {
      const [response] = await once(server, 'held')
      return () => response.writeHead(200, { 'Access-Control-Allow-Origin': '*' }).end()
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
