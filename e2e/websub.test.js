// A hub pushes a feed into a tab: it verifies the intent, the page checks signatures, and leases end.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo, picture, windows } from './demo-page.js'
import { freePort, Gateway } from './gateway.js'
import { startHub } from './hub.js'
import { startAll } from './start-all.js'
import { until } from './until.js'

describe('WebSub subscriber', { skip: noBrowser }, () => {
  let gateway, browser, hub

  before(async () => {
    ;[gateway, browser, hub] = await startAll(Gateway.start(), startBrowser(), startHub())
  })
  after(async () => {
    await browser?.close()
    await hub?.close()
    await gateway?.stop()
  })

  const open = (options, at = gateway) => openDemo(browser, at, 'websub', options)

  /** Closes a page, which must have asked only the gateway and the hub. */
  async function close({ context, faults }, ...others) {
    const wrong = (fault) => !fault.startsWith(hub.url) && !others.some((o) => o.test(fault))
    assert.deepEqual(faults.filter(wrong), [])
    await context.close()
  }

  async function subscribe(page, topic, named = '') {
    await page.getByLabel('Feed', { exact: true }).fill(topic)
    await page.getByLabel(/^Hub/).fill(named)
    await page.getByRole('button', { name: 'Subscribe', exact: true }).click()
  }

  test('a feed is pushed, also after a reload, and only what the hub signed is shown', async () => {
    const opened = await open()
    const { page } = opened
    const topic = `${hub.url}/feed`
    await subscribe(page, topic)
    await page.locator('[data-subscription=active]', { hasText: topic }).waitFor()
    await until(() => hub.subscribed.has(topic), 'the hub is sure')
    assert.equal(
      (await hub.publish(topic, 'Hello, <b>world</b>'.replace(/</g, '&lt;'))).status,
      204,
    )
    const first = page.locator('#pushes > li[data-signature=valid]')
    const link = first.getByRole('link', { name: 'Hello, <b>world</b>' })
    assert.equal(await link.getAttribute('href'), 'https://blog.example/1')

    assert.equal((await hub.publish(topic, 'forged', `sha256=${'0'.repeat(64)}`)).status, 204)
    await page.locator('#pushes > li[data-signature=invalid]').waitFor()
    assert.equal((await hub.publish(topic, 'forged', '')).status, 204)
    await page.locator('#pushes > li[data-signature=unsigned]').waitFor()
    assert.equal(await page.locator('#pushes', { hasText: 'forged' }).count(), 0)

    await page.reload()
    await page.locator('[data-subscription=active]', { hasText: topic }).waitFor()
    await page.locator('#state[data-state="online"]').waitFor()
    assert.equal((await hub.publish(topic, 'second')).status, 204)
    await page.locator('#pushes', { hasText: 'second' }).waitFor()

    const { callback } = hub.subscribed.get(topic)
    await page.getByRole('button', { name: 'Unsubscribe' }).click()
    await until(() => !hub.subscribed.has(topic), 'the hub ended it')
    await page.locator('#subscriptions', { hasText: 'None yet' }).waitFor()
    assert.equal((await hub.ask(callback, {})).status, 404)
    await close(opened)
  })

  test('a subscription that nobody asked for is not confirmed', async () => {
    const opened = await open()
    const { page, url } = opened
    const topic = `${hub.url}/other`
    await subscribe(page, topic, `${hub.url}/`)
    await until(() => hub.subscribed.has(topic), 'the hub is sure')
    const { callback } = hub.subscribed.get(topic)
    const asked = (mode, of, challenge = 'c') =>
      hub.ask(callback, { 'hub.mode': mode, 'hub.topic': of, 'hub.challenge': challenge })
    assert.equal((await asked('unsubscribe', topic)).status, 404)
    assert.equal((await asked('subscribe', `${topic}/x`)).status, 404)
    assert.equal((await asked('subscribe', topic, '')).status, 404)
    assert.equal(
      (await hub.ask(`${url}sub/${'0'.repeat(32)}`, { 'hub.mode': 'subscribe' })).status,
      404,
    )
    await close(opened)
  })

  test('a hub that refuses or denies, and a feed without one, are reported', async () => {
    const opened = await open()
    const { page } = opened
    const fault = (text) => page.locator('#websub-error', { hasText: text }).waitFor()
    await subscribe(page, `${hub.url}/refused`, `${hub.url}/`)
    await fault('it answers 403')
    await page.locator('#subscriptions', { hasText: 'None yet' }).waitFor()
    await subscribe(page, `${hub.url}/without`)
    await fault('names no hub')
    await subscribe(page, `${hub.url}/denied`, `${hub.url}/`)
    await page.locator('[data-subscription=denied]', { hasText: 'denied: too many' }).waitFor()
    const nobody = `http://localhost:${await freePort()}`
    await subscribe(page, `${nobody}/feed`)
    await fault('cannot be reached, or pages cannot read it')
    await close(opened, new RegExp(nobody), /Failed to load resource/)
  })

  test('it also works below a path', async () => {
    const below = await Gateway.startBelowPath()
    try {
      const opened = await open({}, below)
      const topic = `${hub.url}/feed`
      await subscribe(opened.page, topic)
      await until(() => hub.subscribed.has(topic), 'the hub is sure')
      assert.equal((await hub.publish(topic, 'below a path')).status, 204)
      await opened.page.locator('#pushes', { hasText: 'below a path' }).waitFor()
      await close(opened)
    } finally {
      await below.stop()
    }
  })

  for (const [name, options] of windows) {
    test(`axe finds nothing, ${name}`, async () => {
      const opened = await open(options)
      const { page } = opened
      await accessible(page, `at first, ${name}`)
      const topic = `${hub.url}/feed?${name.length}`
      await subscribe(page, topic, `${hub.url}/`)
      await until(() => hub.subscribed.has(topic), 'the hub is sure')
      await hub.publish(topic, 'A tab is a subscriber')
      await page.locator('#pushes', { hasText: 'A tab is' }).waitFor()
      await hub.publish(topic, 'forged', 'sha256=00')
      await page.locator('[data-signature=invalid]').waitFor()
      await accessible(page, name)
      await picture(page, `websub ${name}`)
      await close(opened)
    })
  }
})
