// The gateway stops or is killed while programs serve. Each program comes back by itself, with its label.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { writeAnswers } from './runtimes/answers.js'
import { runtimes } from './runtimes/runtime.js'
import { openServer, startSite } from './site.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { visit } from './visitor.js'

const programs = { ...runtimes }
if (noBrowser) delete programs.chromium

describe('programs survive a restart of the gateway', () => {
  let gateway, browser, answers
  const running = []

  before(async () => {
    gateway = await Gateway.start()
    if (!noBrowser) browser = await startBrowser()
    const names = Object.keys(programs)
    answers = await writeAnswers(names.map((name) => [name, { status: 200, body: `from ${name}` }]))
    const origin = gateway.url.slice(0, -1)
    for (const [name, start] of Object.entries(programs)) {
      running.push(await start(origin, name, answers, () => {}, browser))
    }
  })
  after(async () => {
    for (const program of running) await program.stop()
    await browser?.close()
    await gateway?.stop()
    await answers?.remove()
  })

  const from = (name) =>
    visit(`http://${name}.localhost:${gateway.port}/`, { fields: [['Vector', name]] })

  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM']) {
    test(`after ${signal}`, async (t) => {
      for (const name of Object.keys(programs)) assert.equal((await from(name)).status, 200, name)
      await gateway.stop(signal)
      await gateway.start()
      const sinceMs = performance.now()
      await Promise.all(
        Object.keys(programs).map(async (name) => {
          await until(async () => (await from(name)).status === 200, `${name} is back`)
          t.diagnostic(`${name} is back after ${Math.round(performance.now() - sinceMs)} ms`)
          assert.equal((await from(name)).content.toString(), `from ${name}`)
        }),
      )
    })
  }
})

describe('a page and a gateway that stops', { skip: noBrowser }, () => {
  let gateway, browser, site, page, url

  before(async () => {
    ;[gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
    page = await browser.newPage()
    url = await openServer(page, site.url, gateway, { label: 'demo' })
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  test('running requests are answered before the gateway ends', async () => {
    const answer = visit(`${url}slow`)
    await until(() => page.evaluate(() => document.body.dataset.slow), 'the handler runs')
    await gateway.stop('SIGTERM')
    assert.equal((await answer).content.toString(), 'slow and whole')
  })

  test('the page shows that it is reconnecting, and comes back', async () => {
    await page.waitForFunction(() => globalThis.claim.state === 'reconnecting', { polling: 100 })
    await gateway.start()
    await page.waitForFunction(() => globalThis.claim.state === 'online', { polling: 100 })
    assert.deepEqual(await page.evaluate(() => globalThis.states), [
      'online',
      'reconnecting',
      'online',
    ])
    assert.equal(await page.evaluate(() => globalThis.claim.url), url)
    assert.equal((await visit(`${url}hello`)).status, 200)
  })
})

test('a label survives the kill of a gateway that stores its claims', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'reversehttp-data-'))
  const gateway = await Gateway.start('--data', data)
  t.after(async () => {
    await gateway.stop()
    await rm(data, { recursive: true })
  })
  const claim = async (wish) => {
    const response = await fetch(`${gateway.url}claims`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(wish),
    })
    return { status: response.status, ...(await response.json()) }
  }
  const { status, token } = await claim({ label: 'mine' })
  assert.equal(status, 201)
  await gateway.restart('SIGKILL')
  assert.deepEqual(
    await claim({ label: 'mine' }).then(({ status, code }) => [status, code]),
    [403, 'label_taken'],
    'nobody else can have it',
  )
  assert.equal((await claim({ label: 'mine', token })).status, 200, 'its owner has it back')
})
