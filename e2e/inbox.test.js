// The webhook inbox: presets, challenges, and webhooks that are kept before they are answered.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo } from './demo-page.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { field, visit } from './visitor.js'

describe('the webhook inbox', { skip: noBrowser }, () => {
  let gateway, browser, page, url, close

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.start(), startBrowser())
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  async function open(options, at = gateway) {
    ;({ page, url, close } = await openDemo(browser, at, 'inbox', options))
  }

  const send = (content, ...fields) => visit(`${url}hook`, { method: 'POST', content, fields })
  const rows = () => page.locator('#exchanges [role=option]')
  const newest = () => page.locator('#exchanges [role=option][aria-posinset="1"]')
  const hmac = (secret, text) => createHmac('sha256', secret).update(text).digest('hex')

  async function choose(preset, secret) {
    await page.locator('#side-own').click()
    await page.getByLabel('Sender', { exact: true }).selectOption(preset)
    await page.getByLabel('Secret that senders sign with').fill(secret)
    await page.locator('#secret-note:is([data-is="right"], [data-is="wrong"])').waitFor()
  }

  test('once a sender is chosen, unsigned requests are refused, and repeats are not handled again', async () => {
    await open()
    await choose('github', 's3')
    const signed = (by, id) => [
      ['X-Hub-Signature-256', `sha256=${hmac(by, '{}')}`],
      ['X-GitHub-Delivery', id],
    ]
    assert.equal((await send('{}', ...signed('s3', '1'))).status, 200)
    await newest().locator('.signature[data-is="valid"]', { hasText: 'GitHub: valid' }).waitFor()
    const again = await send('{}', ...signed('s3', '1'))
    assert.equal(again.status, 200)
    assert.equal(again.content.toString(), '') // so the page did not answer it
    assert.equal((await send('{}', ...signed('another', '2'))).status, 401)
    await newest().locator('.signature[data-is="invalid"]').waitFor()
    await accessible(page)
    await close()
  })

  test('a challenge is answered, and with an invalid secret senders try again', async () => {
    await open()
    await choose('slack', 'of-the-app')
    const content = '{"type":"url_verification","challenge":"3eZ"}'
    const at = `${Math.floor(Date.now() / 1000)}`
    const { status, content: answer } = await send(
      content,
      ['X-Slack-Request-Timestamp', at],
      ['X-Slack-Signature', `v0=${hmac('of-the-app', `v0:${at}:${content}`)}`],
    )
    assert.deepEqual([status, answer.toString()], [200, '3eZ'])
    await choose('standard', 'whsec_x')
    await page.locator('#secret-note[data-is="wrong"]').waitFor()
    const later = await send('{}')
    assert.equal(later.status, 503)
    assert.equal(field(later.fields, 'Retry-After'), '10')
    await close()
  })

  test('a webhook is answered only after it is stored; otherwise the sender tries again', async () => {
    await open()
    await page.evaluate(() => {
      const { put } = IDBObjectStore.prototype
      globalThis.mend = () => (IDBObjectStore.prototype.put = put)
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('no room', 'QuotaExceededError')
      }
    })
    const refused = await send('{"n":1}')
    assert.equal(refused.status, 503)
    assert.equal(field(refused.fields, 'Retry-After'), '30')
    await page.locator('#claim-error', { hasText: 'no room' }).waitFor()
    await page.evaluate(() => globalThis.mend())
    assert.equal((await send('{"n":1}')).status, 200)
    await close()
  })

  test('rows outlive the page and the recordings of the gateway', async () => {
    await open()
    assert.equal((await send('{"kept":"yes"}', ['Content-Type', 'application/json'])).status, 200)
    await newest().waitFor()
    await page.evaluate(async () => {
      const kept = Object.values(sessionStorage).find((value) => value.includes('"token"'))
      const { label, token } = JSON.parse(kept)
      const headers = { Authorization: `Bearer ${token}` }
      const { exchanges } = await (await fetch(`/claims/${label}`, { headers })).json()
      await fetch(exchanges, { method: 'DELETE', headers })
    })
    await page.reload()
    await page.locator('#state[data-state="online"]').waitFor()
    await rows().first().waitFor()
    assert.equal(await rows().count(), 1)
    await newest().click()
    await page.locator('#exchange', { hasText: 'kept' }).waitFor()
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.locator('#nothing').waitFor()
    await page.reload()
    await page.locator('#state[data-state="online"]').waitFor()
    await page.locator('#nothing').waitFor()
    await close()
  })

  test('the title counts requests to a hidden tab if the person wants it, also in a later tab', async () => {
    await open()
    const hidden = (of) =>
      of.evaluate(() => Object.defineProperty(document, 'hidden', { get: () => true }))
    await hidden(page)
    assert.equal((await send('{"n":1}')).status, 200)
    await newest().waitFor()
    assert.doesNotMatch(await page.title(), /\(/)
    await page.locator('#side-own').click()
    await page.getByLabel('Count in the title').check()
    assert.equal((await send('{"n":2}')).status, 200)
    await page.waitForFunction(() => document.title.startsWith('(1) '))
    const other = await page.context().newPage()
    await other.goto(page.url())
    await other.locator('#side-own').click()
    assert.ok(await other.getByLabel('Count in the title').isChecked())
    assert.ok(!(await other.getByLabel('Ring when').isChecked()))
    await close()
  })

  test('it also works below a path', async () => {
    const below = await Gateway.startBelowPath()
    try {
      await open({}, below)
      await choose('github', 's3')
      const signature = ['X-Hub-Signature-256', `sha256=${hmac('s3', '{}')}`]
      const { status, content } = await send('{}', signature)
      assert.deepEqual([status, `${content}`], [200, '{"ok":true}'])
      await newest().locator('.signature[data-is="valid"]', { hasText: 'GitHub: valid' }).waitFor()
      assert.equal((await send('{}')).status, 401)
      await page.reload()
      await newest().locator('.target', { hasText: '/hook' }).waitFor()
      assert.equal((await send('{}')).status, 200)
      await close()
    } finally {
      await below.stop()
    }
  })

  test('at 360 px nothing scrolls sideways', async () => {
    await open({ viewport: { width: 360, height: 740 } })
    await page.locator('#to-own').click()
    await page.getByLabel('Sender', { exact: true }).selectOption('websub')
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
    assert.equal(wide, false)
    await accessible(page)
    await close()
  })
})
