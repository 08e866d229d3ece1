// The pages that the gateway serves do what they show.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { browsers, noBrowser, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { field, visit } from './visitor.js'

describe('the pages of the gateway', { skip: noBrowser }, () => {
  let gateway, browser, context, page
  let faults

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.start(), startBrowser())
    context = await browser.newContext()
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  /** Opens a page, and notes its errors. */
  async function open(path) {
    page = await context.newPage()
    faults = []
    page.on('pageerror', (e) => faults.push(e.message))
    page.on('console', (m) => m.type() === 'error' && faults.push(m.text()))
    await page.goto(gateway.url + path)
  }

  /** Claims a label in the panel of a page, and returns the public URL. */
  async function claim(label) {
    await page.locator('#state', { hasText: 'online' }).waitFor()
    await page.getByRole('button', { name: 'Another label…' }).click()
    await page.getByLabel(/^Label/).fill(label)
    await page.getByRole('button', { name: 'Claim', exact: true }).click()
    await page.locator('#url', { hasText: label }).waitFor()
    return page.getAttribute('#url', 'href')
  }

  test('the status shows that the gateway is ready', async () => {
    await open('status')
    await page.locator('#state', { hasText: 'ready' }).waitFor()
    assert.equal(await page.textContent('#limits'), '64 GiB')
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('hello answers, and counts', async () => {
    await open('hello')
    const url = await page.getAttribute('a#link[href]', 'href')
    for (let i = 1; i <= 2; i++) {
      const { status, content } = await visit(url)
      assert.equal(status, 200)
      assert.equal(content.toString(), 'hello from this tab\n')
      await page.locator('#count', { hasText: String(i) }).waitFor()
    }
    const qr = page.getByRole('img', { name: `QR code of ${url}` })
    assert.ok(await qr.evaluate(async (image) => (await image.decode(), image.naturalWidth > 0)))
    await page.getByRole('button', { name: 'Copy URL' }).waitFor()
    await page.reload()
    assert.equal(await page.getAttribute('a#link[href]', 'href'), url, 'the label stays')
    await accessible(page, 'hello')
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('hello answers visitors that it is busy while it hangs, and continues with the same session', async () => {
    await open('hello')
    const url = await page.getAttribute('a#link[href]', 'href')
    assert.equal(page.workers().length, 1)
    assert.equal((await visit(url)).status, 200)
    // A page does nothing else while it shows a dialog.
    const dialog = page.waitForEvent('dialog')
    page.on('dialog', () => {})
    await page.evaluate(() => void setTimeout(() => alert('stands still'), 0))
    const shown = await dialog
    for (let i = 0; i < 2; i++) {
      const { status, fields, content } = await visit(url, { method: 'POST' })
      assert.equal(status, 503)
      assert.ok(Number(field(fields, 'Retry-After')) > 0)
      assert.equal(JSON.parse(content).code, 'busy')
    }
    await shown.accept()
    await page.locator('#state', { hasText: 'online' }).waitFor()
    assert.equal((await visit(url)).status, 200)
    await page.locator('#count', { hasText: '2' }).waitFor()
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('the pages get streamed content whole, up to a limit', async () => {
    const text = 'a'.repeat(100_000)
    await open('playground')
    const url = await claim('long')
    const got = await visit(url, { method: 'POST', content: text })
    assert.equal(got.status, 200)
    assert.equal(JSON.parse(got.content).content, text)
    const refused = await visit(url, { method: 'POST', content: 'a'.repeat(5 << 20) })
    assert.equal(refused.status, 413)
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('a request to the playground for a WebSocket is answered', async () => {
    await open('playground')
    const url = await claim('upgrade')
    const fields = [
      ['Connection', 'Upgrade'],
      ['Upgrade', 'websocket'],
      ['Sec-WebSocket-Version', '13'],
      ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ]
    const got = await visit(url, { fields })
    assert.equal(got.status, 200)
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('the playground serves the code that is typed', async () => {
    await open('playground')
    const url = await claim('play')
    const first = await visit(`${url}?name=you`)
    assert.equal(first.status, 200)
    assert.equal(JSON.parse(first.content).hello, 'you')
    await page.getByLabel('Code').fill("serve(() => new Response('changed', { status: 201 }))")
    await page.getByRole('button', { name: 'Apply' }).click()
    await page.locator('#applied', { hasText: /^applied at/ }).waitFor()
    const second = await visit(`${url}other`)
    assert.equal(second.status, 201)
    assert.equal(second.content.toString(), 'changed')
    const newest = page.locator('#exchanges [role=option][aria-posinset="1"]')
    await newest.locator('.target', { hasText: '/other' }).waitFor()
    await newest.locator('.outcome', { hasText: '201' }).waitFor()

    await page.reload()
    await page.locator('#state', { hasText: 'online' }).waitFor()
    assert.equal(await page.getAttribute('#url', 'href'), url, 'the label stays')
    assert.equal((await visit(url)).content.toString(), 'changed', 'the code stays')
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('the playground reports an error and keeps the earlier code', async () => {
    await open('playground')
    const url = await claim('mistake')
    await page.getByLabel('Code').fill('serve(() => {')
    await page.getByRole('button', { name: 'Apply' }).click()
    await page.locator('#code-error', { hasText: /./ }).waitFor()
    assert.equal((await visit(url)).status, 200)
    await page.close()
  })

  test('the playground reports that its handler hangs, and ends it', async () => {
    await open('playground')
    const url = await claim('hangs')
    const apply = async (code) => {
      await page.getByLabel('Code').fill(code)
      await page.getByRole('button', { name: 'Apply' }).click()
      await page.locator('#applied', { hasText: /^applied at/ }).waitFor()
    }
    const told = page.getByRole('alert').filter({ hasText: 'The handler hangs' })
    const restart = page.getByRole('button', { name: 'Restart the code' })
    const busy = async (visited) => {
      const { status, fields, content } = await visited
      assert.equal(status, 503)
      assert.equal(field(fields, 'Content-Type'), 'application/problem+json')
      assert.ok(Number(field(fields, 'Retry-After')) > 0)
      assert.equal(JSON.parse(content).code, 'busy')
    }
    await apply(`serve((request) => {
      while (request.url.endsWith('/loop'));
      return new Response('fine')
    })`)
    assert.equal((await visit(url)).status, 200)
    assert.equal(await restart.isVisible(), false)
    const first = visit(`${url}loop`)
    await told.waitFor()
    await busy(first)
    await busy(visit(url))

    await restart.focus()
    await restart.press('Enter')
    await told.waitFor({ state: 'hidden' })
    assert.equal(await restart.isVisible(), false)
    assert.equal(await page.evaluate(() => document.activeElement.id), 'code')
    assert.equal((await visit(url)).content.toString(), 'fine')

    const second = visit(`${url}loop`)
    await told.waitFor()
    await busy(second)
    await apply("serve(() => new Response('other'))")
    await told.waitFor({ state: 'hidden' })
    assert.equal((await visit(url)).content.toString(), 'other')
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('the playground does not end code that recovers by itself', async () => {
    await open('playground')
    const url = await claim('slow')
    let release
    const released = new Promise((resolve) => (release = resolve))
    await context.route('**/released', (route) => released.then(() => route.fulfill({ body: '' })))
    await page.getByLabel('Code').fill(`serve((request) => {
      const wait = new XMLHttpRequest()
      wait.open('GET', self.origin + '/released', false)
      if (request.url.endsWith('/long')) wait.send()
      return new Response('back')
    })`)
    await page.getByRole('button', { name: 'Apply' }).click()
    await page.locator('#applied', { hasText: /^applied at/ }).waitFor()
    const long = visit(`${url}long`)
    const told = page.getByRole('alert').filter({ hasText: 'The handler hangs' })
    await told.waitFor()
    assert.equal((await long).status, 503)
    release()
    await told.waitFor({ state: 'hidden' })
    assert.equal((await visit(url)).content.toString(), 'back')
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('the playground claims only once it has code that answers', async () => {
    let release
    const released = new Promise((resolve) => (release = resolve))
    await context.route('**/handler-worker.js', (route) => released.then(() => route.continue()))
    page = await context.newPage()
    const claims = []
    page.on('request', (r) => r.url().endsWith('/claims') && claims.push(r.url()))
    const asked = page.waitForRequest('**/handler-worker.js')
    await page.goto(`${gateway.url}playground`)
    await asked
    assert.deepEqual(claims, [])
    assert.equal(await page.locator('#url').count(), 0)
    release()
    const url = await claim('early')
    assert.equal((await visit(url)).status, 200)
    await page.close()
    await context.unrouteAll()
  })

  test('the inbox lists a webhook and checks its signature', async () => {
    await open('inbox')
    const url = await claim('hooks')
    const secret = 'It’s a Secret to Everybody'
    await page.locator('#side-own').click()
    await page.getByLabel('Secret that senders sign with').fill(secret)
    // Text that a careless relay would encode differently.
    const content = Buffer.from('{"zen": "Kürze \\u00fc ✓",\r\n "n": 1.0}\n')
    const sign = (by) => createHmac('sha256', by).update(content).digest('hex')
    const send = (signature) =>
      visit(`${url}hook?x=1`, {
        method: 'POST',
        fields: [
          ['Content-Type', 'application/json'],
          ['X-GitHub-Event', 'ping'],
          ['X-Hub-Signature-256', `sha256=${signature}`],
        ],
        content,
      })
    const { status, content: answer } = await send(sign(secret))
    assert.equal(status, 200)
    assert.deepEqual(JSON.parse(answer), { ok: true })
    const newest = page.locator('#exchanges [role=option][aria-posinset="1"]')
    await newest.locator('.target', { hasText: '/hook?x=1' }).waitFor()
    await newest.locator('.signature[data-is="valid"]', { hasText: 'GitHub: valid' }).waitFor()

    await send(sign('another secret'))
    await newest.locator('.signature[data-is="invalid"]').waitFor()
    assert.equal(await page.locator('#exchanges [role=option]').count(), 2)
    assert.deepEqual(faults, [])
    await page.close()
  })

  test('the inbox answers as its form says, and releases its label', async () => {
    await open('inbox')
    const url = await claim('told')
    await page.locator('#side-own').click()
    await page.getByLabel('Status', { exact: true }).fill('418')
    await page.getByLabel('Content', { exact: true }).fill('short and stout')
    const { status, content } = await visit(url)
    assert.equal(status, 418)
    assert.equal(content.toString(), 'short and stout')
    await page.getByRole('button', { name: 'Give it up' }).click()
    await page.locator('#state', { hasText: 'not claimed' }).waitFor()
    assert.equal((await visit(url)).status, 404)
    assert.deepEqual(faults, [])
    await page.close()
  })
})

for (const [name, { start, missing }] of Object.entries(browsers)) {
  describe(`the playground, in ${name}`, { skip: missing }, () => {
    let gateway, browser, context, page

    before(async () => {
      ;[gateway, browser] = await startAll(Gateway.start(), start())
    })
    after(async () => {
      await browser?.close()
      await gateway?.stop()
    })
    beforeEach(async () => {
      context = await browser.newContext()
      page = await context.newPage()
      await page.goto(`${gateway.url}playground`)
      await page.waitForSelector('#url[href]')
    })
    afterEach(() => context?.close())

    test('runs scripts of the playground, and no others of its origin', async () => {
      const url = await page.evaluate(() => document.querySelector('#url').href)
      assert.equal(JSON.parse((await visit(`${url}?name=you`)).content).hello, 'you')
      // The page imports this module when an exchange is opened.
      await page.waitForSelector('#exchanges [role=option]')
      await page.evaluate(() => document.querySelector('#exchanges [role=option]').click())
      await page.waitForSelector('#resend')

      const elements = await page.evaluate(async () => {
        const ended = (type, src) =>
          new Promise((resolve) => {
            const script = Object.assign(document.createElement('script'), { type, src })
            script.onload = () => resolve('ran')
            script.onerror = () => resolve('refused')
            document.head.append(script)
          })
        return Promise.all([
          ended('module', '/status.js'),
          ended('text/javascript', '/handler-worker.js'),
          ended('module', '/playground.js'),
        ])
      })
      assert.deepEqual(elements, ['refused', 'refused', 'ran'])
    })

    test('code in the playground loads no scripts, and its mistakes have their lines', async () => {
      const said = async (code) => {
        await page.evaluate((text) => {
          document.querySelector('#code-error').textContent = ''
          document.querySelector('#code').value = text
          document.querySelector('#apply').click()
        }, code)
        await page.waitForFunction(() => document.querySelector('#code-error').textContent)
        return page.evaluate(() => document.querySelector('#code-error').textContent)
      }
      assert.match(await said('serve(() => 1)\nnothing()'), /nothing.*\(line 2\)/)
      assert.match(await said(`importScripts('${gateway.url}status.js')`), /\(line 1\)/)
    })
  })
}
