// The pages of the gateway in Firefox: each claims, answers a visitor, asks no other host and writes nothing to the
// console.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { noFirefox, startFirefox } from './browser.js'
import { Gateway } from './gateway.js'
import { startHub } from './hub.js'
import { connectClient } from './mcp-client.js'
import { startProvider } from './oidc.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { visit } from './visitor.js'

describe('the pages of the gateway, in Firefox', { skip: noFirefox }, () => {
  let gateway, below, browser, context

  before(async () => {
    ;[gateway, below, browser] = await startAll(
      Gateway.start(),
      Gateway.startBelowPath(),
      startFirefox(),
    )
    context = await browser.newContext()
  })
  after(async () => {
    await browser?.close()
    await below?.stop()
    await gateway?.stop()
  })

  /** Opens a page of a gateway that claims. `others` are further origins that it may ask. */
  async function open(path, { at = gateway, others = [] } = {}) {
    const page = await context.newPage()
    const faults = []
    page.on('pageerror', (e) => faults.push(e.message))
    page.on('console', (m) => faults.push(`${m.type()}: ${m.text()}`))
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url())
      const known = [new URL(at.url).origin, ...others]
      if (protocol.startsWith('http') && !known.includes(origin)) faults.push(request.url())
    })
    await page.goto(at.url + path)
    await page.waitForSelector('#state[data-state="online"], a#link[href]')
    const url = await page.$eval('#url, #link', (a) => a.href)
    return {
      page,
      url,
      has: (selector, text) =>
        page.waitForFunction(
          (selector, text) =>
            [...document.querySelectorAll(selector)].some((e) => e.textContent.includes(text)),
          { polling: 100 },
          selector,
          text,
        ),
      async close() {
        assert.deepEqual(faults, [])
        await page.close()
      },
    }
  }
  const post = (url, content, type = 'application/x-www-form-urlencoded') =>
    visit(url, { method: 'POST', content, fields: [['Content-Type', type]] })
  const json = ({ status, content }) => [status, JSON.parse(content)]

  for (const [shape, at] of [
    ['a host', () => gateway],
    ['a path', () => below],
  ]) {
    test(`the inbox keeps a webhook over a reload, in the shape of ${shape}`, async () => {
      const { page, url, has, close } = await open('inbox', { at: at() })
      const { status, content } = await post(`${url}hook?n=1`, '{"n":1}', 'application/json')
      assert.deepEqual([status, `${content}`], [200, '{"ok":true}'])
      await has('#exchanges [role=option]', '/hook?n=1')
      await page.reload()
      await has('#exchanges [role=option]', '/hook?n=1')
      await close()
    })
  }

  test('ask me: a tap is the response', async () => {
    const { page, url, close } = await open('ask')
    const asking = post(url, 'question=Ship+it%3F&option=yes&option=no')
    const yes = await page.waitForSelector('.question .choices button')
    await yes.click()
    assert.equal(`${(await asking).content}`, 'yes\n')
    await close()
  })

  test('files: a chosen file is downloaded, in ranges', async () => {
    const { page, url, has, close } = await open('files')
    await page.evaluate(() => {
      const data = new DataTransfer()
      data.items.add(new File(['from Firefox'], 'a.txt', { type: 'text/plain' }))
      const input = document.querySelector('#files')
      input.files = data.files
      input.dispatchEvent(new Event('change'))
    })
    await has('#list', 'a.txt')
    const fields = [['Range', 'bytes=5-']]
    const { status, content } = await visit(`${url}files/a.txt`, { fields })
    assert.deepEqual([status, `${content}`], [206, 'Firefox'])
    await has('#transfers', 'all sent')
    await close()
  })

  test('chat: the host and a visitor get the messages of each other', async () => {
    const { page, url, has, close } = await open('chat')
    const visitor = await context.newPage()
    await visitor.goto(url)
    await visitor.type('#name', 'ann')
    await visitor.keyboard.press('Enter')
    await has('#here li', 'ann127.0.0.1, by WebSocket')
    await visitor.type('#text', 'from ann')
    await visitor.keyboard.press('Enter')
    await has('#log', 'from ann')
    await page.type('#text', 'from the host')
    await page.keyboard.press('Enter')
    await visitor.waitForFunction(
      () => document.querySelector('#log').textContent.includes('from the host'),
      { polling: 100 },
    )
    await visitor.close()
    await close()
  })

  test('mock: handlers of MSW and an app of Hono answer', async () => {
    const { url, close } = await open('mock')
    assert.deepEqual(json(await visit(`${url}users/1`)), [200, { id: 1, name: 'Ada' }])
    assert.equal(json(await visit(`${url}users`))[1].length, 2)
    await close()
  })

  test('OAuth callback: a person signs in', async () => {
    const others = []
    const { page, url, has, close } = await open('oauth', { others })
    const provider = await startProvider([`${url}callback`])
    try {
      others.push(provider.url)
      await page.evaluate((issuer) => {
        globalThis.open = () => null // The tab is opened below.
        document.querySelector('#issuer').value = issuer
        document.querySelector('#client').value = 'demo'
        document.querySelector('#sign-in').click()
      }, provider.url)
      await page.waitForSelector('#open:not([hidden])')
      const theirs = await context.newPage()
      await theirs.goto(await page.$eval('#open', (a) => a.href))
      await theirs.click('a[href$="/yes"]')
      await has('#who tr', 'ann')
      await theirs.close()
      await close()
    } finally {
      await provider.close()
    }
  })

  test('WebSub: a feed is pushed, and its signature is checked', async () => {
    const hub = await startHub()
    try {
      const { page, has, close } = await open('websub', { others: [hub.url] })
      const topic = `${hub.url}/feed`
      await page.type('#topic', topic)
      await page.click('#subscribe')
      await until(() => hub.subscribed.has(topic), 'the hub is sure')
      assert.equal((await hub.publish(topic, 'pushed')).status, 204)
      await has('#pushes > li[data-signature=valid]', 'pushed')
      await close()
    } finally {
      await hub.close()
    }
  })

  test('MCP: an agent changes the page with the approval of the person', async () => {
    const { page, url, has, close } = await open('mcp', { at: below })
    await page.select('#approve', 'changes')
    const client = await connectClient(`${url}mcp`, '2026-07-28')
    const adding = client.callTool({ name: 'add_note', arguments: { text: 'From an agent' } })
    const allow = await page.waitForSelector('#waiting .call button')
    await allow.click()
    const { content } = await adding
    assert.equal(content[0].text, 'Added note 2.')
    await has('#notes li', 'From an agent')
    await client.close()
    await close()
  })

  test('hello: visitors of a page that hangs get the answer that it is busy', async () => {
    const { page, url, has, close } = await open('hello')
    assert.equal(`${(await visit(url)).content}`, 'hello from this tab\n')
    const dialog = new Promise((resolve) => page.once('dialog', resolve))
    await page.evaluate(() => void setTimeout(() => alert('stands still'), 0))
    const shown = await dialog
    const { status, content } = await visit(url)
    assert.deepEqual([status, JSON.parse(content).code], [503, 'busy'])
    await shown.accept()
    await has('#state', 'online')
    assert.equal((await visit(url)).status, 200)
    await close()
  })
})
