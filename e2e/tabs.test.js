// Many tabs of one browser, which share six connections to a gateway over HTTP/1.1.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { browsers, noBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { openServer, startSite } from './site.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { visit } from './visitor.js'

describe('many tabs of one browser', { skip: noBrowser }, () => {
  let gateway, browser, site

  before(async () => {
    // The end of a poll would free its connection for another tab.
    const lasting = ['--stream', '1h', '--wait', '1h']
    ;[gateway, browser, site] = await startAll(
      Gateway.start(...lasting),
      browsers.Chromium.start(),
      startSite(),
    )
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  test('ten that have links answer a webhook each', async () => {
    const context = await browser.newContext()
    const labels = Array.from({ length: 10 }, (_, i) => `linked${i}`)
    for (const label of labels) {
      const page = await context.newPage()
      const welcomed = new Promise((resolve) =>
        page.on('websocket', (link) => link.on('framereceived', resolve)),
      )
      await openServer(page, site.url, gateway, { label })
      // If its poll were parked, it would hold a connection for an hour.
      await welcomed
    }
    const answers = await Promise.all(
      labels.map((label) => {
        const url = `http://${label}.localhost:${gateway.port}/echo`
        return visit(url, { method: 'POST', content: `for ${label}` })
      }),
    )
    assert.deepEqual(
      answers.map(({ status, content }) => [status, `${content}`]),
      labels.map((label) => [200, `for ${label}`]),
    )
    await context.close()
  })

  test('ten of one claim need one connection, because nine stand by', async () => {
    const context = await browser.newContext()
    const options = { label: 'shared', token: 'a-token-of-ten-tabs', way: 'stream' }
    const pages = []
    for (let i = 0; i < 10; i++) {
      const page = await context.newPage()
      await openServer(page, site.url, gateway, options)
      if (i) await page.waitForFunction(() => globalThis.claim.state === 'standby')
      pages.push(page)
    }
    const url = `http://shared.localhost:${gateway.port}/tab`
    const first = `${(await visit(url)).content}`
    assert.equal(`${(await visit(url)).content}`, first)
    await pages[0].close()
    const then = await until(async () => {
      const { status, content } = await visit(url)
      return status === 200 && `${content}`
    }, 'the next in line answers')
    assert.notEqual(then, first)
    await context.close()
  })

  test('the seventh that polls reports why it cannot claim', async () => {
    const context = await browser.newContext()
    for (let i = 1; i <= 6; i++) {
      const page = await context.newPage()
      // Once the page has sent its poll, the poll holds a connection.
      const polls = page.waitForRequest((r) => r.url().endsWith('/requests'))
      await openServer(page, site.url, gateway, { label: `tab${i}`, way: 'stream' })
      await polls
    }
    const page = await context.newPage()
    // It has the SDK from elsewhere, because no connection is left to load it from the gateway.
    const sdk = await (await fetch(`${gateway.url}sdk.js`)).text()
    await page.route('**/copy.js', (route) =>
      route.fulfill({ contentType: 'text/javascript', body: sdk }),
    )
    await page.goto(`${site.url}empty`)
    const refused = await page.evaluate(async (gateway) => {
      const { serve } = await import('/copy.js')
      return serve(() => new Response(), { gateway }).then(
        (claim) => claim.url,
        ({ name, code, status, detail }) => ({ name, code, status, detail }),
      )
    }, gateway.url)
    const { detail, ...error } = refused
    assert.deepEqual(error, { name: 'ReverseHttpError', code: 'network', status: 0 })
    assert.match(detail, /^Other tabs .* six connections/)
    await context.close()
  })
})
