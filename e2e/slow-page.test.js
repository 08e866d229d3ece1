// A page on a machine that is twenty times too slow: it answers many requests at once, computes, and keeps its
// session.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { startSite } from './site.js'
import { startAll } from './start-all.js'

// How much slower in total: on a busy machine the browser slows the page down less.
const slower = 20
const size = 20 * 2 ** 20
const block = 2 ** 18
// Eight of them take twice as long as a gateway waits for a silent program.
const computeMs = 2_500
const computing = 8

describe('a page twenty times too slow', { skip: noBrowser }, () => {
  let gateway, browser, site, page, url

  before(async () => {
    ;[gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
    page = await browser.newPage()
    await page.goto(`${site.url}empty`)
    const devtools = await page.context().newCDPSession(page)
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: Math.max(1, slower / busy()) })
    const options = { gateway: gateway.url.slice(0, -1), size, block, computeMs }
    await page.evaluate(`globalThis.textOf = ${textOf}`)
    url = await page.evaluate(serveSlowly, options)
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  test('answers with a string of 20 MiB, and others meanwhile', async (t) => {
    let ended = false
    const big = get(`${url}big`).finally(() => (ended = true))
    let others = 0
    for (; !ended; others++) {
      const { status, content } = await get(`${url}echo`, `${others}`)
      assert.deepEqual([status, `${content}`], [200, `${others}`])
    }
    const { status, content } = await big
    t.diagnostic(`${others} others were answered meanwhile`)
    assert.deepEqual([status, content.length], [200, size])
    assert.equal(hashOf(content), hashOf(textOf(size, block)), 'the content is another')
    await keptItsSession()
  })

  test('computes for many at once, longer than a gateway waits for silent programs', async () => {
    const answers = await Promise.all(
      Array.from({ length: computing }, (_, i) => get(`${url}compute`, `${i}`)),
    )
    const want = Array.from({ length: computing }, (_, i) => [200, `${i}`])
    assert.deepEqual(
      answers.map(({ status, content }) => [status, `${content}`]),
      want,
    )
    await keptItsSession()
  })

  async function keptItsSession() {
    assert.deepEqual(await page.evaluate(() => globalThis.states), [])
    assert.equal(gateway.log.match(/session opened/g).length, 1, gateway.log)
  }
})

/** Returns the ratio of the time that a computation takes to its processor time. */
function busy() {
  const began = performance.now()
  const used = process.cpuUsage()
  const cpuMs = () => {
    const { user, system } = process.cpuUsage(used)
    return (user + system) / 1000
  }
  while (cpuMs() < 300);
  return (performance.now() - began) / cpuMs()
}

const hashOf = (content) => createHash('sha256').update(content).digest('hex')

/** Returns text of a number of bytes, in blocks that end with their number. */
function textOf(size, block) {
  const filler = 'é'.repeat(block / 2 - 4)
  return Array.from({ length: size / block }, (_, i) => filler + `${i}`.padStart(8)).join('')
}

/** Claims in a page with textOf, and serves slow answers. The test sends it to the page as text. */
async function serveSlowly({ gateway, size, block, computeMs }) {
  const handlers = {
    '/big': () => new Response(globalThis.textOf(size, block)),
    '/echo': async (request) => new Response(await request.text()),
    '/compute': (_, info) => {
      for (const endMs = performance.now() + computeMs; performance.now() < endMs;);
      return new Response(info.content)
    },
  }
  const { serve } = await import(`${gateway}/sdk.js`)
  // No timeout of the claim may be shorter than the page is slow.
  const claim = await serve(
    (request, info) => handlers[new URL(request.url).pathname](request, info),
    {
      gateway,
      timeoutMs: 600_000,
    },
  )
  globalThis.states = []
  claim.addEventListener('statechange', () => globalThis.states.push(claim.state))
  return claim.url
}

/** Visits a public URL, by POST if there is content, without a timeout. */
function get(url, content) {
  const { host, port, pathname } = new URL(url)
  const method = content ? 'POST' : 'GET'
  return new Promise((resolve, reject) => {
    const asked = { host: '127.0.0.1', port, path: pathname, method, headers: { Host: host } }
    const visit = request(asked, async (response) => {
      try {
        const chunks = []
        for await (const chunk of response) chunks.push(chunk)
        resolve({ status: response.statusCode, content: Buffer.concat(chunks) })
      } catch (e) {
        reject(e)
      }
    })
    visit.on('error', reject).end(content)
  })
}
