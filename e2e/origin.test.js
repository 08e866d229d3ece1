// Pages from anywhere may claim: another origin, or a file that was opened from disk.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { browsers } from './browser.js'
import { Gateway } from './gateway.js'
import { openServer, pageFile, startSite } from './site.js'
import { visit } from './visitor.js'

for (const [name, { start, missing }] of Object.entries(browsers)) {
  describe(`a page from elsewhere claims, polls and answers, in ${name}`, { skip: missing }, () => {
    let gateway, browser, context, site

    before(async () => {
      ;[gateway, browser, site] = await Promise.all([Gateway.start(), start(), startSite()])
      context = await browser.newContext()
    })
    after(async () => {
      await browser?.close()
      await site?.close()
      await gateway?.stop()
    })

    // Firefox does not tell of preflights.
    test('from another origin without a link, with one preflight for each URL', async () => {
      const page = await context.newPage()
      const preflights = name === 'Chromium' && (await preflightsOf(page))
      await answersTen(await openServer(page, site.url, gateway, { way: 'stream' }))
      if (preflights) assert.deepEqual(preflights, ['claims', 'requests', 'responses'])
      await page.close()
    })

    test('from another origin, with no preflight again', async () => {
      const fresh = await browser.newContext() // it remembers none
      const page = await fresh.newPage()
      const preflights = name === 'Chromium' && (await preflightsOf(page))
      await answersTen(await openServer(page, site.url, gateway))
      if (preflights) assert.deepEqual(preflights, [...new Set(['claims', ...preflights])])
      await fresh.close()
    })

    // No count here: a file has an opaque origin, and Chromium remembers no preflight for one.
    test('from a file', async () => {
      const page = await context.newPage()
      await answersTen(await openServer(page, pathToFileURL(pageFile).href, gateway))
      assert.equal(await page.evaluate(() => self.origin), 'null')
      await page.close()
    })

    test('from a worker of a page of another origin', async () => {
      const page = await context.newPage()
      await page.goto(`${site.url}empty`)
      const url = await page.evaluate(async (gateway) => {
        const code = `
          import { serve } from '${gateway}sdk.js'
          const claim = await serve(() => new Response('from a worker'), { gateway: '${gateway}' })
          postMessage(claim.url)`
        const blob = new Blob([code], { type: 'text/javascript' })
        const worker = new Worker(URL.createObjectURL(blob), { type: 'module' })
        return new Promise((resolve, reject) => {
          worker.onmessage = (e) => resolve(e.data)
          worker.onerror = (e) => reject(new Error(e.message))
        })
      }, gateway.url)
      assert.equal((await visit(url)).content.toString(), 'from a worker')
      await page.close()
    })
  })
}

async function answersTen(url) {
  for (let i = 0; i < 10; i++) {
    const { status, content } = await visit(`${url}echo`, { method: 'POST', content: `${i}` })
    assert.equal(status, 200)
    assert.equal(content.toString(), `${i}`)
  }
}

/** Notes the preflights of a page, in their order: the last segment of each path. */
async function preflightsOf(page) {
  const seen = []
  const session = await page.context().newCDPSession(page)
  await session.send('Network.enable')
  session.on('Network.requestWillBeSent', ({ request: { method, url } }) => {
    if (method === 'OPTIONS') seen.push(new URL(url).pathname.split('/').at(-1))
  })
  return seen
}
