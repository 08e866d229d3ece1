// Pages that use a local gateway: those of this machine, and those of other origins, also files, if it lists them.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { browsers, elsewhere } from './browser.js'
import { Gateway } from './gateway.js'
import { openServer, pageFile, startSite } from './site.js'
import { startAll } from './start-all.js'
import { visit } from './visitor.js'

for (const [name, { start, missing }] of Object.entries(browsers)) {
  describe(`a page claims, polls and answers, in ${name}`, { skip: missing }, () => {
    let gateway, listing, browser, context, site, foreign

    before(async () => {
      ;[gateway, browser, site] = await startAll(Gateway.start(), start(), startSite())
      foreign = `http://${elsewhere}:${new URL(site.url).port}`
      listing = await Gateway.start('--allow-origin', `${foreign},null`)
      context = await browser.newContext()
    })
    after(async () => {
      await browser?.close()
      await site?.close()
      await gateway?.stop()
      await listing?.stop()
    })

    // Firefox does not report preflights.
    test('from another port of this machine without a link, with one preflight for each URL', async () => {
      const page = await context.newPage()
      const preflights = name === 'Chromium' && (await preflightsOf(page))
      await answersTen(await openServer(page, site.url, gateway, { way: 'stream' }))
      if (preflights) assert.deepEqual(preflights, ['claims', 'requests', 'responses'])
      await page.close()
    })

    test('from another port of this machine, without further preflights', async () => {
      const fresh = await browser.newContext() // it has no cached preflights
      const page = await fresh.newPage()
      const preflights = name === 'Chromium' && (await preflightsOf(page))
      await answersTen(await openServer(page, site.url, gateway))
      if (preflights) assert.deepEqual(preflights, [...new Set(['claims', ...preflights])])
      await fresh.close()
    })

    // No count here: a file has an opaque origin, for which Chromium caches no preflight.
    test('from a file, if null is listed', async () => {
      const page = await context.newPage()
      await answersTen(await openServer(page, pathToFileURL(pageFile).href, listing))
      assert.equal(await page.evaluate(() => self.origin), 'null')
      await page.close()
    })

    test('from a worker of a page of another port', async () => {
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

    test('from a claim, whose page is at an origin of its own', async () => {
      const page = await context.newPage()
      await page.goto(`${site.url}empty`)
      const url = await page.evaluate(async (gateway) => {
        const { serve } = await import(`${gateway}sdk.js`)
        const html = { headers: { 'Content-Type': 'text/html' } }
        return (await serve(() => new Response('<!doctype html>', html), { gateway })).url
      }, gateway.url)
      const inside = await context.newPage()
      await inside.goto(url)
      await answersTen(await served(inside, gateway))
      await inside.close()
      await page.close()
    })

    test('from another origin, if that is listed', async () => {
      const page = await context.newPage()
      await page.goto(`${foreign}/empty`)
      await answersTen(await served(page, listing))
      await page.close()
    })

    test('not from any other origin: the error gives the reason at once', async () => {
      const page = await context.newPage()
      await page.goto(`${foreign}/empty`)
      const asked = []
      page.on('request', (request) => asked.push(request.url()))
      const error = await refusalOf(page, gateway)
      assert.deepEqual([error.code, error.status], ['origin_refused', 403])
      assert.match(error.detail, new RegExp(`--allow-origin ${foreign}$`))
      // Apart from the modules of the SDK.
      const there = asked.filter((url) => url.startsWith(gateway.url) && !url.endsWith('.js'))
      assert.deepEqual(there, [`${gateway.url}.well-known/reversehttp`])
      await page.close()
    })

    test('not from a sandboxed frame, and not from a file', async () => {
      const page = await context.newPage()
      await page.goto(pathToFileURL(pageFile.replace('server.html', 'empty.html')).href)
      const { code, detail } = await refusalOf(page, gateway)
      assert.equal(code, 'origin_refused')
      assert.match(detail, /--allow-origin null lets it in, and any web page with it/)
      await page.goto(`${site.url}empty`)
      const framed = await page.evaluate(async (gateway) => {
        const frame = document.createElement('iframe')
        frame.sandbox = 'allow-scripts'
        frame.srcdoc = `<script type="module">
          import { serve } from '${gateway}sdk.js'
          const e = await serve(() => new Response(), { gateway: '${gateway}' }).catch((e) => e)
          parent.postMessage(String(e.code), '*')
        </script>`
        const told = new Promise((resolve) => addEventListener('message', (e) => resolve(e.data)))
        document.documentElement.append(frame)
        return told
      }, gateway.url)
      assert.equal(framed, 'origin_refused')
      await page.close()
    })

    test('not from another origin without CORS, unless that is listed', async () => {
      const page = await context.newPage()
      await page.goto(`${foreign}/empty`)
      for (const to of [gateway, listing]) {
        await page.evaluate(driveBy, to.url)
        for (const label of ['by-form', 'by-query']) {
          const fields = [['Authorization', 'Bearer t0']]
          const { status } = await visit(`${to.url}claims/${label}`, { fields })
          assert.equal(status, to === listing ? 200 : 404, `${label} at ${to.url}`)
        }
      }
      await page.close()
    })

    test('not from a host that was made to resolve to this machine', async () => {
      const page = await context.newPage()
      const response = await page.goto(`http://${elsewhere}:${gateway.port}/`)
      assert.equal(response.status(), 421)
      await page.close()
    })
  })
}

/** Makes a page claim at a gateway by the SDK that the gateway serves, and returns the public URL. */
function served(page, gateway) {
  return page.evaluate(async (gateway) => {
    const { serve } = await import(`${gateway}sdk.js`)
    return (await serve(async (request) => new Response(await request.text()), { gateway })).url
  }, gateway.url)
}

/** Makes a page claim at a gateway that refuses it, and returns the error. */
function refusalOf(page, gateway) {
  return page.evaluate(async (gateway) => {
    const { serve } = await import(`${gateway}sdk.js`)
    const { code, status, detail } = await serve(() => new Response(), { gateway }).catch((e) => e)
    return { code, status, detail }
  }, gateway.url)
}

/** Sends everything that a page can send to another origin without CORS. Runs in a page, and ends when all was answered. */
async function driveBy(gateway) {
  const answered = (target, ...types) =>
    new Promise((resolve) => types.forEach((type) => target.addEventListener(type, resolve)))
  const append = (name, members) => {
    const element = Object.assign(document.createElement(name), members)
    document.documentElement.append(element)
    return element
  }
  // The frame shows a page of this origin until the form is answered.
  const frame = append('iframe', { name: gateway, src: '/empty' })
  await answered(frame, 'load')
  const form = append('form', { method: 'post', action: `${gateway}reversehttp`, target: gateway })
  for (const [name, value] of [
    ['name', 'by-form'],
    ['token', 't0'],
    ['lease', '86400'],
  ]) {
    form.append(Object.assign(document.createElement('input'), { name, value }))
  }
  form.submit()

  const plain = { method: 'POST', mode: 'no-cors', body: '{"label":"by-fetch"}' }
  await fetch(`${gateway}claims`, plain)
  await fetch(`${gateway}comet/by-fetch`, { ...plain, referrerPolicy: 'no-referrer' })
  const url = `${gateway}reversehttp?name=by-query&token=t0`
  await fetch(url, { ...plain, body: new URLSearchParams(), referrerPolicy: 'no-referrer' })
  const image = append('img', { src: `${gateway}reversehttp/by-image/dDA/a/0` })
  await answered(image, 'load', 'error')
  const events = new EventSource(`${gateway}claims/by-fetch/exchanges`)
  await answered(events, 'error')
  events.close()
  const socket = new WebSocket(
    gateway.replace('http', 'ws') + 'claims/x/sessions/x/link',
    'reversehttp.1',
  )
  await answered(socket, 'open', 'close')
  socket.close()
  while (frame.contentDocument) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function answersTen(url) {
  for (let i = 0; i < 10; i++) {
    const { status, content } = await visit(`${url}echo`, { method: 'POST', content: `${i}` })
    assert.equal(status, 200)
    assert.equal(content.toString(), `${i}`)
  }
}

/** Notes the preflights of a page, in order: the last segment of each path. */
async function preflightsOf(page) {
  const seen = []
  const session = await page.context().newCDPSession(page)
  await session.send('Network.enable')
  session.on('Network.requestWillBeSent', ({ request: { method, url } }) => {
    if (method === 'OPTIONS') seen.push(new URL(url).pathname.split('/').at(-1))
  })
  return seen
}
