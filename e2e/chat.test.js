// A chat that a tab serves: browsers by WebSockets and events, and curl.
import assert from 'node:assert/strict'
import { get } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo, picture, windows } from './demo-page.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { field, visit } from './visitor.js'

describe('chat', { skip: noBrowser }, () => {
  let gateway, browser

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.start(), startBrowser())
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  const open = (options) => openDemo(browser, gateway, 'chat', options)
  const say = async (page, text) => {
    await page.getByLabel('Say something').fill(text)
    await page.keyboard.press('Enter')
  }
  const heard = (page, text) => page.locator('#log', { hasText: text }).waitFor()

  /** Opens the chat as another person. Their console may have no messages, except about refused sockets. */
  async function comeIn(url, name, options) {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    const faults = []
    page.on('pageerror', (e) => faults.push(e.message))
    page.on('console', (m) => /WebSocket/.test(m.text()) || faults.push(m.text()))
    await page.goto(url)
    await page.getByLabel('Your name').fill(name)
    await page.keyboard.press('Enter')
    return { page, context, faults }
  }

  test('the host and visitors talk by sockets, and by events if there are too many sockets', async () => {
    const { page, url, close } = await open()
    const visitors = []
    for (const name of ['ann', 'bo', 'cy']) {
      visitors.push(await comeIn(url, name))
      await page.locator('#here li', { hasText: name }).waitFor()
    }
    const how = (name) => page.locator('#here li', { hasText: name }).textContent()
    assert.match(await how('ann'), /127\.0\.0\.1, by WebSocket/)
    // Over HTTP/1.1 a tab can serve two sockets.
    assert.match(await how('cy'), /by events/)
    await say(visitors[0].page, 'from ann')
    await say(visitors[2].page, 'from <b>cy</b>')
    await page.getByLabel('Say something').fill('from the host')
    await page.getByRole('button', { name: 'Send' }).click()
    for (const { page: one } of [{ page }, ...visitors]) {
      for (const text of ['from ann', 'from <b>cy</b>', 'from the host']) await heard(one, text)
    }
    await visitors[1].context.close()
    await page.locator('#here li', { hasText: 'bo' }).waitFor({ state: 'detached' })
    await visitors[0].page.locator('#here', { hasText: /ann, cy$/ }).waitFor()
    for (const { faults } of visitors) assert.deepEqual(faults, [])
    await visitors[0].context.close()
    await visitors[2].context.close()
    await close()
  })

  test('curl receives events and sends by POST, until it sends too much', async () => {
    const { page, url, close } = await open()
    const form = ['Content-Type', 'application/x-www-form-urlencoded']
    const post = (content) => visit(`${url}messages`, { method: 'POST', content, fields: [form] })
    const said = await post('from=curl&text=hello')
    assert.equal(said.status, 201)
    await heard(page, 'hello')
    const { host, port } = new URL(url)
    const answer = await new Promise((resolve) =>
      get({ host: '127.0.0.1', port, path: '/events', headers: { Host: host } }, resolve),
    )
    assert.equal(answer.headers['content-type'], 'text/event-stream')
    await page.locator('#here li', { hasText: 'by events' }).waitFor()
    await say(page, 'to all')
    let text = ''
    for await (const chunk of answer) {
      text += chunk
      if (text.includes('to all')) break
    }
    assert.match(text, /event: said\nid: 1\ndata: .*"hello"/)
    await page.locator('#here li', { hasText: 'Only you' }).waitFor()
    let last
    for (let i = 0; i < 10; i++) last = await post(`text=${i}`)
    assert.equal(last.status, 429)
    assert.equal(field(last.fields, 'Retry-After'), '10')
    await close()
  })

  test('a visitor learns that the tab is gone', async () => {
    const { url, context } = await open()
    const { page, context: theirs } = await comeIn(url, 'ann')
    await page.locator('#here', { hasText: 'ann' }).waitFor()
    await context.close()
    await page.locator('#said', { hasText: 'The connection was lost' }).waitFor()
    await theirs.close()
  })

  test('it also works below a path', async () => {
    const below = await Gateway.startBelowPath()
    try {
      const { page, url, close } = await openDemo(browser, below, 'chat')
      const visitors = []
      for (const name of ['ann', 'bo', 'cy']) {
        visitors.push(await comeIn(url, name))
        await page.locator('#here li', { hasText: name }).waitFor()
      }
      await say(visitors[2].page, 'by POST')
      await say(visitors[0].page, 'by WebSocket')
      for (const { page: one } of [{ page }, ...visitors]) {
        await heard(one, 'by POST')
        await heard(one, 'by WebSocket')
      }
      for (const { context, faults } of visitors) {
        assert.deepEqual(faults, [])
        await context.close()
      }
      await close()
    } finally {
      await below.stop()
    }
  })

  for (const [name, options] of windows) {
    test(`axe finds nothing, ${name}`, async () => {
      const { page, url, close } = await open(options)
      await accessible(page, `empty, ${name}`)
      await picture(page, `chat empty ${name}`)
      const visitor = await comeIn(url, 'ann', options)
      await page.locator('#here li', { hasText: 'ann' }).waitFor()
      await say(visitor.page, 'Hello, is this your browser that answers?')
      await say(page, 'It is. Nothing else is between us but a gateway.')
      await heard(visitor.page, 'gateway')
      await accessible(page, name)
      await picture(page, `chat ${name}`)
      await accessible(visitor.page, `what a visitor sees, ${name}`)
      await picture(visitor.page, `chat visitor ${name}`)
      await visitor.context.close()
      await close()
    })
  }
})
