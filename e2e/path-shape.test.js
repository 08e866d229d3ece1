// In the path shape, http://localhost:PORT/at/{label}/, claims share an origin with the control API, and must gain nothing
// by that.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { browsers } from './browser.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { field, valuesOf, visit, visitRaw } from './visitor.js'

// Returns what a hostile page can find out.
const hostile = `<!doctype html><title>hostile</title><script>
const attempt = (what) => { try { return what() } catch (e) { return e.name } }
globalThis.found = {
  origin: self.origin,
  localStorage: attempt(() => localStorage.getItem('secret')),
  sessionStorage: attempt(() => sessionStorage.getItem('secret')),
  cookie: attempt(() => document.cookie),
  database: attempt(() => indexedDB.open('secret') && 'opened'),
  worker: attempt(() => navigator.serviceWorker.register('sw.js').then(() => 'registered', (e) => e.name)),
}
</script>`

const handler = `async (request, info) => {
  const { pathname, search } = new URL(request.url)
  globalThis.seen.push(pathname + search)
  if (pathname === '/sw.js') return new Response('', { headers: { 'Content-Type': 'text/javascript' } })
  const cookie = info.headers.filter((f) => f[0] === 'Cookie').length
  info.responseHeaders.push(['Set-Cookie', 'planted=1; Path=/'], ['Clear-Site-Data', '"*"'])
  return new Response(${JSON.stringify(hostile)}, { headers: {
    'Content-Type': 'text/html', 'X-Cookies': String(cookie), 'Content-Security-Policy': "img-src 'none'",
    'Service-Worker-Allowed': '/' } })
}`

for (const [name, { start, missing }] of Object.entries(browsers)) {
  describe(`public URLs below a path, in ${name}`, { skip: missing }, () => {
    let gateway, browser, context, page, url

    before(async () => {
      ;[gateway, browser] = await startAll(Gateway.startBelowPath(), start())
      context = await browser.newContext()
      page = await context.newPage()
      await page.goto(gateway.url)
      url = await page.evaluate(`(async () => {
        globalThis.seen = []
        localStorage.setItem('secret', 'of the control origin')
        sessionStorage.setItem('secret', 'of the control origin')
        document.cookie = 'secret=1; Path=/'
        const { serve } = await import('/sdk.js')
        globalThis.claim = await serve(${handler}, { label: 'evil' })
        return claim.url
      })()`)
    })
    after(async () => {
      await browser?.close()
      await gateway?.stop()
    })

    test('a router sees the path without its base', async () => {
      assert.equal(url, `${gateway.url}at/evil/`)
      await visit(`${url}a/b?c=d`)
      assert.equal(await page.evaluate(() => globalThis.seen.at(-1)), '/a/b?c=d')
    })

    test('fields that act on a whole origin do not pass', async () => {
      const { status, fields } = await visit(url, { fields: [['Cookie', 'secret=1']] })
      assert.equal(status, 200)
      for (const name of ['Set-Cookie', 'Clear-Site-Data', 'Service-Worker-Allowed']) {
        assert.equal(field(fields, name), undefined, name)
      }
      assert.equal(field(fields, 'X-Cookies'), '0', 'the handler saw cookies of the control origin')
      const policies = valuesOf(fields, 'Content-Security-Policy')
      assert.ok(policies.includes("img-src 'none'"), 'a policy of the handler stays')
      const sandbox = policies.find((p) => p.startsWith('sandbox '))
      assert.match(sandbox, /allow-scripts/)
      assert.doesNotMatch(sandbox, /allow-same-origin/)
    })

    test('a relayed page is sandboxed: it sees nothing of the control origin', async () => {
      const relayed = await context.newPage()
      await relayed.goto(url)
      const { worker, ...found } = await relayed.evaluate(async () => ({
        ...globalThis.found,
        worker: await globalThis.found.worker,
      }))
      assert.deepEqual(found, {
        origin: 'null',
        localStorage: 'SecurityError',
        sessionStorage: 'SecurityError',
        cookie: 'SecurityError',
        database: 'SecurityError',
      })
      assert.match(worker, /Error$/, 'a service worker is refused')
      await relayed.close()
      assert.match(
        await page.evaluate(() => document.cookie),
        /^secret=1$/,
        'no cookie was planted',
      )
    })

    test('a frame of it in a page of the control origin is sandboxed too', async () => {
      const outer = await context.newPage()
      await outer.goto(`${gateway.url}sdk.js`)
      await outer.setContent(`<iframe src="${url}"></iframe>`)
      const frame = await (await outer.waitForSelector('iframe')).contentFrame()
      await frame.waitForFunction(() => globalThis.found, { polling: 100 })
      assert.equal(await frame.evaluate(() => globalThis.found.origin), 'null')
      await outer.close()
    })

    test('no page of the control origin can register a service worker from it', async () => {
      const outcome = await page.evaluate(
        (script) =>
          navigator.serviceWorker.register(script).then(
            () => 'registered',
            (e) => e.name,
          ),
        `${url}sw.js`,
      )
      assert.notEqual(outcome, 'registered')
      const refused = await visit(`${url}sw.js`, { fields: [['Service-Worker', 'script']] })
      assert.equal(refused.status, 403)
      assert.equal(JSON.parse(refused.content).code, 'service_worker_refused')
      const seen = await page.evaluate(() => globalThis.seen)
      assert.ok(!seen.includes('/sw.js'), 'the handler was not asked')
    })

    test('the URL without its slash redirects and does not reach the handler', async () => {
      const before = await page.evaluate(() => globalThis.seen.length)
      const raw = `GET /at/evil HTTP/1.1\r\nHost: localhost:${gateway.port}\r\n\r\n`
      const { status, fields } = await visitRaw(gateway.port, Buffer.from(raw))
      assert.equal(status, 308)
      assert.equal(new URL(field(fields, 'Location'), gateway.url).href, url)
      assert.equal(await page.evaluate(() => globalThis.seen.length), before)
    })
  })
}
