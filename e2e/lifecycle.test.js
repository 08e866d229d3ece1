// Pages that the browser freezes or keeps for going back, that crash, and that lose the network.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startUnfocused } from './browser.js'
import { Gateway } from './gateway.js'
import { openServer, startSite } from './site.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { field, visit } from './visitor.js'

describe('a page that is a server', { skip: noBrowser }, () => {
  let gateway, browser, site, page, url, devtools

  before(async () => {
    ;[gateway, browser, site] = await startAll(Gateway.start(), startUnfocused(), startSite())
    page = await browser.newPage()
    devtools = await page.createCDPSession()
    await devtools.send('Network.enable')
    const linked = new Promise((resolve) => devtools.on('Network.webSocketFrameReceived', resolve))
    url = await openServer(page, site.url, gateway)
    await linked
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  const states = () => page.evaluate('states.splice(0)')
  const answers = async () => (await visit(`${url}hello`)).status === 200

  test('is reconnecting once it is frozen, and its visitors need not wait', async () => {
    assert.deepEqual(await states(), ['online'])
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
    await until(async () => (await page.evaluate('claim.state')) === 'reconnecting', 'the event')
    await until(() => gateway.log.includes('msg="session closed"'), 'the end of the session')
    assert.match(gateway.log.match(/msg="session closed".*/)[0], /reason=left/)
    const { status, fields } = await visit(`${url}hello`)
    assert.equal(status, 503)
    assert.match(field(fields, 'Proxy-Status'), /handed=\?0/)
    await devtools.send('Page.setWebLifecycleState', { state: 'active' })
    await until(answers, 'an answer')
    // It waits for its lock, which may take a moment.
    const seen = (await states()).filter((state) => state !== 'standby')
    assert.deepEqual(seen, ['reconnecting', 'online'])
  })

  test('that has a link is kept while another page is shown, and serves when it is back', async () => {
    const page = await browser.newPage()
    const devtools = await page.createCDPSession()
    await devtools.send('Network.enable')
    const welcomed = new Promise((resolve) =>
      devtools.once('Network.webSocketFrameReceived', resolve),
    )
    let url = await openServer(page, site.url, gateway)
    await welcomed
    const comeBack = async () => {
      await page.evaluate(() => {
        addEventListener('pageshow', (e) => (globalThis.kept = e.persisted))
      })
      await page.goto(`${site.url}empty`)
      await page.goBack()
      return page.evaluate(() => globalThis.kept)
    }
    // A browser on a busy machine keeps no page, and reports the reason "timeout".
    for (let n = 1; n < 5 && !(await comeBack()); n++) {
      url = await openServer(page, site.url, gateway)
      await page.waitForFunction('states.length === 1', { polling: 100 })
    }
    await page.waitForFunction('states.length === 3', { polling: 100 })
    const lock = `reversehttp ${gateway.url}claims/${new URL(url).hostname.split('.')[0]}`
    const seen = await page.evaluate(
      async (lock) => ({
        kept: globalThis.kept,
        states: globalThis.states,
        reasons: performance.getEntriesByType('navigation')[0].notRestoredReasons,
        leads: (await navigator.locks.query()).held.some(({ name }) => name === lock),
      }),
      lock,
    )
    assert.deepEqual(seen, {
      kept: true,
      states: ['online', 'reconnecting', 'online'],
      reasons: null,
      leads: true,
    })
    assert.equal((await visit(`${url}hello`)).status, 200)
    await page.close()
  })

  // A page with the SDK leaves when it is frozen. This page does not, and its browser still answers Ping frames.
  test('without the SDK is lost once it is frozen, though its link is open', async () => {
    const raw = await browser.newPage()
    await raw.goto(`${site.url}empty`)
    const { label, token, state } = await raw.evaluate(async (gateway) => {
      const claim = await (await fetch(`${gateway}claims`, { method: 'POST' })).json()
      const link = new WebSocket(claim.link, 'reversehttp.1')
      const pinged = new Promise((resolve) => {
        link.onmessage = async ({ data }) => {
          if (!(typeof data === 'string' ? data : await data.text()).includes('"type":"ping"'))
            return
          link.send('{"type":"pong"}')
          resolve()
        }
      })
      link.onopen = () =>
        link.send(JSON.stringify({ type: 'hello', token: claim.token, cursor: claim.cursor }))
      await pinged
      globalThis.link = link
      return { label: claim.label, token: claim.token, state: claim.claim }
    }, gateway.url)
    const headers = { Authorization: `Bearer ${token}` }
    const sessions = async () => (await (await fetch(state, { headers })).json()).sessions
    const [{ parked, idleMs }] = await sessions()
    assert.deepEqual({ parked, idleMs }, { parked: true, idleMs: 0 })
    const devtools = await raw.createCDPSession()
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
    const closed = new RegExp(`msg="session closed" .*label=${label} .*`)
    await until(() => closed.test(gateway.log), 'the end of the session')
    assert.match(gateway.log.match(closed)[0], /reason=lost/)
    assert.deepEqual(await sessions(), [])
    await raw.close()
  })

  // DevTools cannot discard a tab, but a crash also ends it without an event.
  test('leaves its session at once when it crashes, by the request that it gave the browser for that', async () => {
    for (const from of ['page', 'worker']) {
      const page = await browser.newPage()
      const label = `crashed-${from}`
      await openServer(page, site.url, gateway, { from, label })
      const devtools = await page.createCDPSession()
      devtools.send('Page.crash').catch(() => {})
      const closed = new RegExp(`msg="session closed" .*label=${label} .*`)
      await until(() => closed.test(gateway.log), 'the end of the session')
      assert.match(gateway.log.match(closed)[0], /reason=left/)
    }
  })

  test('is reconnecting once the network is gone', async () => {
    const network = (offline) =>
      devtools.send('Network.emulateNetworkConditions', {
        offline,
        latency: 0,
        downloadThroughput: -1,
        uploadThroughput: -1,
      })
    await network(true)
    await page.waitForFunction(() => globalThis.states.length, { polling: 100 })
    assert.deepEqual(await states(), ['reconnecting'])
    await network(false)
    await page.waitForFunction(() => globalThis.states.length, { polling: 100 })
    assert.deepEqual(await states(), ['online'])
    assert.ok(await answers())
  })
})
