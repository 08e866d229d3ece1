// A public gateway, in Chromium: the warning before strangers' pages, forms that do not work, and the page for reporting
// abuse.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { elsewhere, noBrowser, startBrowser } from './browser.js'
import { Gateway, freePort } from './gateway.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { visit } from './visitor.js'

const handler = `async (request) => {
  const { pathname, search } = new URL(request.url)
  globalThis.seen.push(request.method + ' ' + pathname + search + ' ' + (request.headers.get('cookie') ?? ''))
  const form = '<!doctype html><title>page</title><form method=post action=/sent><button>send</button></form>'
  return new Response(form, { headers: { 'Content-Type': 'text/html', 'Content-Security-Policy': "sandbox allow-forms allow-scripts allow-same-origin" } })
}`

describe('a gateway for strangers', { skip: noBrowser }, () => {
  let gateway, browser, page, url, dir

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'reversehttp-public-'))
    const flags = ['--public', '--abuse-log', join(dir, 'abuse.jsonl')]
    ;[gateway, browser] = await startAll(Gateway.start(...flags), startBrowser())
    page = await (await browser.newContext()).newPage()
    await page.goto(gateway.url)
    url = await page.evaluate(`(async () => {
      globalThis.seen = []
      const { serve } = await import('/sdk.js')
      globalThis.claim = await serve(${handler}, { label: 'demo' })
      return claim.url
    })()`)
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  const seen = () => page.evaluate(() => globalThis.seen)

  test('a person is warned once, and reaches the page that they wanted', async () => {
    const context = await browser.newContext()
    const visitor = await context.newPage()
    const first = await visitor.goto(`${url}a/b?c=d&e=%22`)
    assert.equal(first.status(), 403)
    await visitor.getByRole('heading', { name: 'A stranger made this page' }).waitFor()
    assert.deepEqual(await seen(), [], 'the handler had the request')
    await Promise.all([
      visitor.waitForURL(`${url}a/b?c=d&e=%22`),
      visitor.getByRole('button').click(),
    ])
    assert.equal(await visitor.title(), 'page')
    assert.equal((await visitor.goto(`${url}again`)).status(), 200)
    const other = await context.newPage()
    assert.equal((await other.goto(`${url}tab`)).status(), 200)
    assert.equal(
      await other.evaluate(() => document.cookie),
      '',
      'a page sees the cookie of the gateway',
    )
    assert.ok(
      (await seen()).every((line) => line.endsWith(' ')),
      `the handler sees it: ${await seen()}`,
    )
    await context.close()
    const anew = await browser.newContext()
    assert.equal(
      (await (await anew.newPage()).goto(url)).status(),
      403,
      'a new session is not warned',
    )
    await anew.close()
  })

  test('forms of its pages do not work, whatever their own policy says', async () => {
    const context = await browser.newContext()
    const visitor = await context.newPage()
    const blocked = []
    visitor.on('console', (message) => blocked.push(message.text()))
    await visitor.goto(url)
    await Promise.all([visitor.waitForURL(url), visitor.getByRole('button').click()])
    await visitor.getByRole('button', { name: 'send' }).click()
    await until(() => blocked.some((text) => /allow-forms/.test(text)))
    assert.ok(!(await seen()).some((line) => line.startsWith('POST')), 'a form was sent')
    await context.close()
  })

  test('programs and parts of pages get no warning', async () => {
    assert.equal((await visit(`${url}hook`)).status, 200)
    const context = await browser.newContext({ bypassCSP: true })
    const visitor = await context.newPage()
    await visitor.goto(`${gateway.url}hello`)
    assert.equal(
      await visitor.evaluate(
        (at) => fetch(at, { mode: 'no-cors' }).then((r) => r.type),
        `${url}load`,
      ),
      'opaque',
    )
    assert.ok((await seen()).some((line) => line.startsWith('GET /load')))
    await context.close()
  })

  test('abuse is reported, without a script', async () => {
    const context = await browser.newContext({ javaScriptEnabled: false })
    const visitor = await context.newPage()
    await visitor.goto(url)
    await visitor.getByRole('link', { name: 'Report this page' }).click()
    assert.equal(await visitor.getByLabel('URL of the page').inputValue(), url)
    await visitor.getByLabel('What is wrong with it').fill('it asks for my password')
    await visitor.getByRole('button').click()
    await visitor.getByRole('heading', { name: 'Thank you' }).waitFor()
    await until(() =>
      readFileSync(join(dir, 'abuse.jsonl'), 'utf8').includes('it asks for my password'),
    )
    await context.close()
  })

  test('the status page says where the figures are, which strangers cannot read', async () => {
    const port = await freePort()
    const shape = `http://${elsewhere}:${port}/at/{label}/`
    const beyond = await Gateway.start('--listen', `127.0.0.1:${port}`, '--public-url', shape)
    const context = await browser.newContext()
    const visitor = await context.newPage()
    await visitor.goto(`http://${elsewhere}:${port}/status`)
    await visitor.locator('#elsewhere').waitFor()
    assert.equal(await visitor.locator('#numbers').isVisible(), false)
    await visitor.goto(`${gateway.url}status`)
    await visitor.locator('#claims', { hasText: /^[1-9]/ }).waitFor()
    assert.equal(await visitor.locator('#elsewhere').isVisible(), false)
    await context.close()
    await beyond.stop()
  })

  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 360]) {
      test(`axe finds nothing in the pages, ${colorScheme}, ${width} px wide`, async () => {
        const context = await browser.newContext({
          colorScheme,
          bypassCSP: true,
          viewport: { width, height: 800 },
        })
        const visitor = await context.newPage()
        for (const [name, at] of Object.entries({ warning: url, abuse: `${gateway.url}abuse` })) {
          await visitor.goto(at)
          await accessible(visitor, name)
        }
        await context.close()
      })
    }
  }
})
