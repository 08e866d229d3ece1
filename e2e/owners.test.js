// A label with a new owner: everything that the previous owner stored in a browser is removed, and the new one never gets
// it.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { browsers, noBrowser, startBrowser } from './browser.js'
import { selfSigned } from './certificate.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { until } from './until.js'

const html = [['Content-Type', 'text/html']]
const script = [['Content-Type', 'text/javascript']]

/** A worker that answers every navigation from its cache, and uses the network only if it has nothing. */
const fromCache = `
self.addEventListener('install', (e) => e.waitUntil(caches.open('old').then((c) => c.add('/')).then(() => skipWaiting())))
self.addEventListener('activate', (e) => e.waitUntil(clients.claim()))
self.addEventListener('fetch', (e) => e.respondWith(caches.match(e.request).then((r) => r ?? fetch(e.request))))`

/** A worker that forwards each request itself. */
const fromNetwork = `
self.addEventListener('install', () => skipWaiting())
self.addEventListener('activate', (e) => e.waitUntil(clients.claim()))
self.addEventListener('fetch', (e) => e.respondWith(fetch(e.request)))`

/** What the previous owner serves: a page with this worker, if any, that stores everything that a page can store. */
const old = (worker) => (path) =>
  path === '/sw.js'
    ? { headers: script, body: worker }
    : {
        headers: [
          ...html,
          ['Set-Cookie', 'hidden=old; HttpOnly; Max-Age=9999'],
          ['Set-Cookie', 'below=old; Path=/below'],
        ],
        body: `<!doctype html><title>the old owner</title><script>
          document.cookie = 'shown=old; Max-Age=9999'
          localStorage.setItem('old', 'old')
          ${worker ? "navigator.serviceWorker.register('/sw.js')" : ''}
        </script>`,
      }

/** What the new owner serves. */
const young = (path) => {
  if (path === '/sw.js') return { headers: script, body: '// of the new owner' }
  if (path === '/login') return { headers: [['Set-Cookie', 'session=new; HttpOnly']], body: '' }
  return {
    headers: [...html, ['Set-Cookie', 'visits=new']],
    body: '<!doctype html><title>the new owner</title>',
  }
}

/** A program that serves a label, and the requests to it. */
async function serve(gateway, label, token, handle) {
  const ask = async (url, init = {}) => {
    const { headers, ...rest } = init
    const response = await fetch(url, {
      ...rest,
      headers: { Authorization: `Bearer ${token}`, ...headers },
    })
    assert.ok(
      response.ok,
      `${url} is ${response.status} ${response.ok ? '' : await response.text()}`,
    )
    return response
  }
  const json = { 'Content-Type': 'application/json' }
  const response = await fetch(`${gateway.url}claims`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ label, token }),
  })
  const claim = await response.json()
  assert.equal(response.status, 201, JSON.stringify(claim))
  const seen = []
  let over = false
  // A browser may ask for more, such as an icon, while the claim is deleted.
  const askUntilOver = (...args) => ask(...args).catch((e) => (over ? null : Promise.reject(e)))
  const serving = (async () => {
    while (!over) {
      const polled = await askUntilOver(claim.requests)
      if (!polled || polled.status === 204) continue
      const { messages } = await polled.json()
      const answers = messages
        .filter((m) => m.type === 'request')
        .map(({ id, target, headers }) => {
          seen.push({
            target,
            cookies: headers.filter(([name]) => name === 'Cookie').map(([, value]) => value),
          })
          return { type: 'response', id, status: 200, ...handle(target) }
        })
      if (answers.length)
        await askUntilOver(claim.responses, {
          method: 'POST',
          headers: json,
          body: JSON.stringify({ messages: answers }),
        })
    }
  })().catch((e) => e) // checked at the end, because a failed test ends the gateway first
  return {
    url: claim.url,
    seen,
    end: async () => {
      over = true
      await ask(claim.claim, { method: 'DELETE' })
      assert.ifError(await serving)
    },
  }
}

/** Loads a page, and returns how often the gateway redirected the browser to it, to clear its cookies first. */
async function load(page, url) {
  let clears = 0
  const count = (response) => {
    if (response.status() === 307) clears++
  }
  page.on('response', count)
  await page.goto(url)
  page.off('response', count)
  return clears
}

/** Returns what a page finds stored: cookies, storage, caches, workers. */
const kept = async () =>
  JSON.stringify([
    document.cookie,
    localStorage.length,
    (await caches.keys()).length,
    (await navigator.serviceWorker.getRegistrations()).length,
  ])

const cookiesOf = (program) => program.seen.flatMap(({ cookies }) => cookies).join('; ')

describe('of a previous owner', () => {
  for (const [name, worker] of [
    ['serves pages from its cache', fromCache],
    ['sends requests on', fromNetwork],
  ]) {
    test(`a service worker that ${name} is removed, in Chromium`, { skip: noBrowser }, async () => {
      const [gateway, browser] = await startAll(Gateway.start(), startBrowser())
      try {
        const before = await serve(gateway, 'demo', 'token-of-the-old-owner', old(worker))
        const page = await (await browser.newContext()).newPage()
        await page.goto(before.url)
        await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated')
        await page.reload() // the worker answers it
        assert.equal(await page.title(), 'the old owner')
        await before.end()

        const now = await serve(gateway, 'demo', 'token-of-the-new-owner', young)
        await page.goto(now.url)
        await until(
          async () => (await page.title().catch(() => '')) === 'the new owner',
          'the page of the new owner',
        )
        // The page reloads by itself when the worker has ended.
        const left = () => page.evaluate(kept).catch(() => '')
        await until(
          async () => (await left()) === '["visits=new",0,0,0]',
          'nothing of the old owner',
        )
        assert.doesNotMatch(cookiesOf(now), /old|reversehttp/)

        await page.evaluate(() => localStorage.setItem('new', 'new'))
        assert.equal(await load(page, now.url), 0, 'cookies are cleared again')
        assert.equal(await page.evaluate(() => localStorage.getItem('new')), 'new')
        const script = await page.evaluate(async () => {
          const registration = await navigator.serviceWorker.register('/sw.js')
          await navigator.serviceWorker.ready
          return registration.active?.scriptURL ?? 'none'
        })
        assert.match(script, /\/sw\.js$/)
        assert.ok(
          now.seen.some(({ target }) => target === '/sw.js'),
          'the new owner was not asked for its own worker',
        )
        await now.end()
      } finally {
        await browser.close()
        await gateway.stop()
      }
    })
  }

  for (const [name, { start, missing }] of Object.entries(browsers)) {
    test(`cookies are cleared once, in ${name}`, { skip: missing }, async () => {
      const [gateway, browser] = await startAll(Gateway.start(), start())
      try {
        const page = await (await browser.newContext()).newPage()
        const before = await serve(gateway, 'demo', 'token-of-the-old-owner', old())
        await page.goto(before.url)
        await page.goto(`${before.url}below/`)
        assert.match(cookiesOf(before), /below=old/)
        await before.end()
        for (const owner of ['token-of-the-new-owner', 'token-of-the-next-owner']) {
          const now = await serve(gateway, 'demo', owner, young)
          assert.equal(await load(page, `${now.url}below/?a=b`), 1, 'cookies are not cleared')
          assert.equal(page.url(), `${now.url}below/?a=b`)
          assert.equal(await page.title(), 'the new owner')
          assert.equal(await page.evaluate(() => localStorage.length), 0)
          await page.evaluate(() => fetch('/login').then((r) => r.text()))
          await page.evaluate(() => localStorage.setItem('new', 'new'))
          assert.equal(await load(page, now.url), 0, 'cookies are cleared again')
          assert.equal(await page.evaluate(() => localStorage.getItem('new')), 'new')
          const { cookies } = now.seen.findLast(({ target }) => target === '/')
          assert.match(cookies.join('; '), /session=new/)
          assert.doesNotMatch(cookiesOf(now), /old|reversehttp/)
          await now.end()
        }
      } finally {
        await browser.close()
        await gateway.stop()
      }
    })
  }

  test('cookies are cleared over TLS, in Chromium', { skip: noBrowser }, async () => {
    const certificate = selfSigned()
    const [gateway, browser] = await startAll(Gateway.start(...certificate.flags), startBrowser())
    try {
      const context = await browser.newContext({ ignoreHTTPSErrors: true })
      const [program, page] = [await context.newPage(), await context.newPage()]
      await program.goto(gateway.url) // Node does not trust the certificate; the browser does
      const owner = (token, name) =>
        program.evaluate(
          async ([token, name]) => {
            const { serve } = await import('/sdk.js')
            globalThis.cookies = []
            const handle = (request, info) => {
              cookies.push(
                ...info.headers.filter(([field]) => field === 'Cookie').map(([, value]) => value),
              )
              info.responseHeaders.push(
                ['Set-Cookie', `${name}=1; Path=/`],
                ['Set-Cookie', '__Host-Http-reversehttp-owner=mine; Path=/; Secure; HttpOnly'],
              )
              return new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } })
            }
            globalThis.claim = await serve(handle, { label: 'demo', token, storage: null })
            return claim.url
          },
          [token, name],
        )
      const url = await owner('token-of-the-old-owner', 'old')
      await page.goto(url)
      await program.evaluate(async () => {
        const { url, token } = claim
        await claim.close()
        const label = new URL(url).hostname.split('.')[0]
        const deleted = await fetch(`/claims/${label}`, {
          method: 'DELETE',
          headers: { Authorization: `Bearer ${token}` },
        })
        if (deleted.status !== 204) throw new Error(String(deleted.status))
      })
      await owner('token-of-the-new-owner', 'new')
      assert.equal(await load(page, url), 1, 'cookies are not cleared')
      assert.equal(await load(page, url), 0, 'cookies are cleared again')
      const marks = (await context.cookies(url)).filter(({ name }) => name.includes('reversehttp'))
      assert.deepEqual(
        marks.map(({ name, secure, httpOnly, domain }) => [name, secure, httpOnly, domain]),
        [['__Host-Http-reversehttp-owner', true, true, new URL(url).hostname]],
      )
      assert.notEqual(marks[0].value, 'mine')
      const seen = (await program.evaluate(() => cookies)).join('; ')
      assert.match(seen, /new=1/)
      assert.doesNotMatch(seen, /old|reversehttp/)
    } finally {
      await browser.close()
      await gateway.stop()
      certificate.remove()
    }
  })
})
