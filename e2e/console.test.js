// The console: it has a URL at once, shows each exchange, and can be used by keyboard alone.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createHmac } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { visit } from './visitor.js'

const mostFirstBytes = 100 * 1024

describe('the console', { skip: noBrowser }, () => {
  let gateway, browser, context, page, faults

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.start(), startBrowser())
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  /** Opens a page of the gateway in a new profile, and notes its console messages and the origins of its requests. */
  async function open(path = '', options = {}) {
    context = await browser.newContext(options)
    page = await context.newPage()
    faults = []
    page.on('pageerror', (e) => faults.push(e.message))
    page.on('console', (m) => faults.push(`${m.type()}: ${m.text()}`))
    page.on('request', (r) => {
      const { protocol, host } = new URL(r.url())
      if (protocol !== 'blob:' && host !== `localhost:${gateway.port}`) faults.push(r.url())
    })
    await page.goto(gateway.url + path)
  }

  async function close() {
    assert.deepEqual(faults, [])
    await context.close()
  }

  /** The public URL, once the page serves it. */
  async function served() {
    await page.locator('#state[data-state="online"]').waitFor()
    return page.getAttribute('#url', 'href')
  }

  const rows = () => page.locator('#exchanges [role=option]')
  const row = (text) => rows().filter({ hasText: text })
  const detail = (text) => page.locator('#detail-title', { hasText: text }).waitFor()
  const press = (...keys) =>
    keys.reduce((p, key) => p.then(() => page.keyboard.press(key)), Promise.resolve())
  const post = (url, content, ...fields) => {
    const type = ['Content-Type', 'application/json']
    return visit(url, { method: 'POST', fields: [type, ...fields], content })
  }
  const focused = () => page.evaluate(() => document.activeElement.id)

  test('a page that has just been opened answers its first webhook without a click', async () => {
    await open()
    const url = await served()
    const { status, content } = await post(`${url}hook`, '{"hello":"you"}')
    assert.equal(status, 200)
    assert.deepEqual(JSON.parse(content), { ok: true })
    await row('/hook').filter({ hasText: '200' }).waitFor()
    await close()
  })

  test('recordings arrive by the link of the claim, not by requests of their own', async () => {
    await open()
    let waits = 0
    page.on('request', (r) => r.url().includes('/exchanges?') && waits++)
    const watching = new Promise((resolve) => {
      page.on('websocket', (socket) =>
        socket.on('framesent', ({ payload }) => `${payload}`.includes('"watch"') && resolve()),
      )
    })
    await page.reload()
    const url = await served()
    await watching
    const before = waits
    for (const path of ['one', 'two']) await visit(url + path)
    await row('/two').filter({ hasText: '200' }).waitFor()
    assert.equal(waits, before, 'requests for recordings while the link is open')
    await close()
  })

  test('the first paint takes less than 100 KiB', async () => {
    context = await browser.newContext()
    page = await context.newPage()
    const cdp = await context.newCDPSession(page)
    await cdp.send('Network.enable')
    let bytes = 0
    const seen = []
    const urls = new Map()
    cdp.on('Network.responseReceived', (e) => urls.set(e.requestId, e.response.url))
    cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      bytes += encodedDataLength
      seen.push([urls.get(requestId), encodedDataLength])
    })
    // Timers do not run, so this excludes modules that the page loads later.
    const now = Date.now()
    await page.clock.install({ time: now })
    await page.clock.pauseAt(now + 86_400_000)
    await page.goto(gateway.url)
    await served()
    assert.ok(bytes > 10_000, `${bytes} bytes: nothing was counted`)
    assert.ok(bytes < mostFirstBytes, `${bytes} bytes: ${JSON.stringify(seen, null, 1)}`)
    await context.close()
  })

  test('everything can be done by keyboard', async () => {
    await open()
    const url = await served()
    assert.match(await page.textContent('#first-curl'), /^curl .*\/hook/)
    await post(`${url}hook?n=1&token=abc`, '{"n":1}', ['Authorization', 'Bearer of-secrets'])
    await visit(`${url}other`)
    await row('/other').waitFor()

    // j opens the newest exchange, and pressed again, the one below it.
    await press('j')
    await detail('/other')
    await press('j')
    await detail('/hook?n=1&token=[masked]')
    assert.match(page.url(), /#\/exchange\/[^/]+$/)
    await press('k')
    await detail('/other')
    await press('ArrowDown', 'Enter')
    await page.waitForFunction(() => document.activeElement.id === 'detail-title')

    // A secret is shown on request.
    await page.locator('#request-tab-0').focus()
    await press('Enter')
    const field = page.locator('#request-panel tr', { hasText: 'Authorization' })
    assert.match(await field.textContent(), /Bearer \[masked\]/)
    await field.getByRole('button').focus()
    await press('Enter')
    assert.match(await field.textContent(), /Bearer of-secrets/)

    // C opens a menu, and Escape closes it.
    await press('c')
    await page.waitForFunction(() => document.activeElement.role === 'menuitem')
    await press('ArrowDown', 'Escape')
    await press('Escape')
    assert.equal(await focused(), 'exchanges')

    // R resends.
    await press('r')
    const resent = page.locator('.mark[data-is="replay"]')
    await resent.waitFor()
    await detail('/hook?n=1')
    await page.getByText('Resent from').waitFor()

    // E edits.
    await press('e')
    await page.locator('#edit-target').waitFor()
    assert.equal(await focused(), 'edit-target')
    await page.locator('#edit-target').fill('/edited')
    await press('Tab', 'Tab', 'Tab')
    assert.equal(await focused(), 'edit-content')
    await page.locator('#edit-content').fill('{"edited":true}')
    await page.locator('#edit-method').focus()
    await press('Enter')
    await detail('/edited')
    const tree = page.locator('#request-panel')
    await page.getByRole('tab', { name: 'JSON' }).first().click()
    await tree.getByText('edited').waitFor()
    assert.equal(await rows().count(), 4)

    // / opens the filter, which is also in the address.
    await press('Escape', '/')
    await page.keyboard.type('method=POST path^=/hook')
    await page.locator('#count', { hasText: '2 of 4' }).waitFor()
    await press('Enter')
    assert.equal(await focused(), 'exchanges')
    assert.match(page.url(), /filter=method/)
    await press('/', 'Control+a', 'Delete')
    await page.keyboard.type('content:edited')
    await page.locator('#count', { hasText: '1 of 4' }).waitFor()
    await press('Control+a', 'Delete', 'Escape')

    // ? shows the keys.
    await press('?')
    await page.getByRole('dialog', { name: 'Keys and filters' }).waitFor()
    await press('Escape')

    // P pauses.
    await press('p')
    await visit(`${url}while-paused`)
    await page.locator('#paused', { hasText: '1 more came' }).waitFor()
    assert.equal(await rows().count(), 4)
    await press('p')
    await row('/while-paused').waitFor()

    await page.locator('#clear').focus()
    await press('Enter')
    await page.locator('#nothing').waitFor()
    assert.equal(await rows().count(), 0)
    await close()
  })

  test('a link opens one exchange, and a filter', async () => {
    await open()
    const url = await served()
    await post(`${url}linked`, '{"deep":"link"}')
    await visit(`${url}other`)
    await row('/linked').click()
    await detail('/linked')
    const link = page.url()
    await page.goto('about:blank')
    await page.goto(link)
    await detail('/linked')
    await page.getByText('"link"').first().waitFor()
    await page.goto(`${gateway.url}#/?filter=path%3D%2Fother`)
    await page.locator('#count', { hasText: '1 of 2' }).waitFor()
    await close()
  })

  test('a signed webhook gets a new signature when it is resent', async () => {
    await open()
    const url = await served()
    const secret = 'sesame'
    const content = '{"id":"evt_1"}'
    const sign = (at) => createHmac('sha256', secret).update(`${at}.${content}`).digest('hex')
    const old = 1_600_000_000
    await post(`${url}stripe`, content, ['Stripe-Signature', `t=${old},v1=${sign(old)}`])
    await row('/stripe').click()
    await detail('/stripe')
    await press('e')
    await page.getByLabel('Secret to sign anew (Stripe)').fill(secret)
    await press('Enter')
    await page.getByText('Resent from').waitFor()
    await page.locator('#request-tab-0').click()
    const signed = page.locator('#request-panel tr', { hasText: 'Stripe-Signature' })
    // At the end of the exchange its row is drawn again, and hides the value.
    const shown = await until(async () => {
      const found = /t=(\d+),v1=([0-9a-f]+)/.exec(await signed.textContent())
      if (!found) await signed.getByRole('button').click()
      return found
    }, 'the signature is shown')
    const [, at, v1] = shown
    assert.ok(at > old, at)
    assert.equal(v1, sign(at))
    await close()
  })

  test('the link of a claim lets its holder look, and nothing else', async () => {
    await open()
    const url = await served()
    await post(`${url}shared`, '{"seen":"by both"}')
    await row('/shared').waitFor()
    await page.locator('#share').focus()
    await press('Enter')
    await page.getByRole('button', { name: 'Make a link' }).click()
    await page.locator('#share-link').waitFor()
    const link = await page.locator('#share-link').inputValue()
    const owner = { context, page, faults }

    await open()
    await served()
    await page.goto(link)
    await page.locator('#state', { hasText: 'looking' }).waitFor()
    assert.doesNotMatch(page.url(), /viewer/)
    assert.equal(await page.getAttribute('#url', 'href'), url)
    await row('/shared').click()
    await detail('/shared')
    await page.getByText('"by both"').first().waitFor()
    assert.ok(await page.locator('#resend').isDisabled())
    assert.equal(await page.locator('#clear').isVisible(), false)
    await check('looking')
    await visit(`${url}live`)
    await row('/live').filter({ hasText: '200' }).waitFor()
    await page.reload()
    await row('/live').waitFor()
    await page.getByRole('button', { name: 'Claim one of your own' }).click()
    assert.notEqual(await served(), url)
    await close()
    ;({ context, page, faults } = owner)
    await close()
  })

  test('the claims of this browser are listed, and a key opens each', async () => {
    await open()
    const first = await served()
    const label = (url) => new URL(url).hostname.split('.')[0]
    await post(`${first}one`, '{}')
    await row('/one').waitFor()
    const other = page

    // Another tab shows the claim that the first one serves, and may resend its requests.
    page = await context.newPage()
    page.on('pageerror', (e) => faults.push(e.message))
    page.on('console', (m) => faults.push(`${m.type()}: ${m.text()}`))
    await page.goto(gateway.url)
    const second = await served()
    const entry = (url) => page.locator('#claims-menu li').filter({ hasText: label(url) })
    const list = async () => {
      await page.locator('#claims').focus()
      await press('Enter')
      await page.waitForFunction(() => document.activeElement.closest('.claim-entry'))
    }
    await list()
    await entry(first).getByText('served in another tab').waitFor()
    await entry(second).getByText('served in this tab').waitFor()
    await press('Escape')
    assert.equal(await focused(), 'claims')
    assert.equal(await page.locator('#claims-menu').isVisible(), false)
    await press('Enter', 'ArrowDown')
    await page.waitForFunction(
      (label) => document.activeElement.textContent.startsWith(label),
      label(first),
    )
    await press('Enter')
    await page.locator('#state', { hasText: 'looking' }).waitFor()
    assert.equal(await page.getAttribute('#url', 'href'), first)
    assert.equal(page.url(), gateway.url)
    await row('/one').click()
    await detail('/one')
    await page.locator('#resend').click()
    await page.locator('.mark[data-is="replay"]').waitFor()
    await page.reload()
    await page.locator('#state', { hasText: 'looking' }).waitFor()

    // A claim that no tab serves can be served again.
    await list()
    await entry(second).getByText('not served').waitFor()
    await entry(second).locator('.claim-entry').click()
    await page.locator(`#url[href="${second}"]`).waitFor()
    assert.equal(await served(), second)
    assert.equal((await visit(`${second}again`)).status, 200)

    // A claim that has ended disappears from the list, and another is forgotten.
    await page.evaluate(() => {
      const all = JSON.parse(localStorage.getItem('reversehttp claims'))
      all.push({ label: 'gone-for-good', token: 'x', page: 'inbox', seen: 1 })
      localStorage.setItem('reversehttp claims', JSON.stringify(all))
    })
    const told = page.waitForEvent('console')
    await list()
    assert.match((await told).text(), /404/)
    await page.locator('#claims-menu', { hasText: 'gone-for-good' }).waitFor({ state: 'hidden' })
    await page.getByRole('button', { name: `Forget ${label(first)}` }).focus()
    await press('Enter')
    assert.equal(await entry(first).count(), 0)
    await page.waitForFunction(() => document.activeElement.closest('.claim-entry'))
    const kept = await page.evaluate(() => localStorage.getItem('reversehttp claims'))
    assert.deepEqual(
      JSON.parse(kept).map((claim) => claim.label),
      [label(second)],
    )
    // Browsers write a line to the console for each refused request.
    faults = faults.filter((fault) => !fault.includes('404'))

    page = other
    await page.bringToFront()
    await page.locator('.mark[data-is="replay"]').waitFor()
    await close()
  })

  test('content is shown by its type, and long content only on request', async () => {
    await open()
    const url = await served()
    const show = async (path, tab) => {
      await row(path).click()
      await detail(path)
      await page.locator('#request-tab-0').click()
      await page.locator('[role=tablist][aria-label="The request"]').getByText(tab).click()
      return page.locator('#request-panel')
    }
    const send = (path, type, content) =>
      visit(url + path, { method: 'POST', fields: [['Content-Type', type]], content })
    await send('form', 'application/x-www-form-urlencoded', 'name=J%C3%BCrgen&password=hunter2')
    await send('events', 'text/event-stream', 'event: tick\ndata: 1\n\ndata: 2\n\n')
    await send('markup', 'text/html', '<img src=x onerror="document.title=1"><script>1</script>')
    await send('bytes', 'application/octet-stream', Buffer.from([0, 1, 254, 255]))
    const file =
      '--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nIn it\r\n--b--\r\n'
    await send('files', 'multipart/form-data; boundary=b', file)
    await send('much', 'application/json', JSON.stringify({ much: 'a'.repeat(200_000) }))
    await row('/much').waitFor()

    const form = await show('/form', 'Form')
    assert.match(await form.textContent(), /Jürgen/)
    assert.doesNotMatch(await form.textContent(), /hunter2/)
    assert.match(await (await show('/events', 'Events')).textContent(), /tick1.*message2/)
    assert.match(await (await show('/markup', 'Text')).textContent(), /<script>1<\/script>/)
    assert.match(await (await show('/bytes', 'Hex')).textContent(), /00 01 fe ff/)
    const files = await show('/files', 'Multipart')
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      files.getByRole('listitem').getByRole('button', { name: 'Download' }).click(),
    ])
    assert.equal(download.suggestedFilename(), 'a.txt')
    assert.equal(readFileSync(await download.path(), 'utf8'), 'In it')
    const much = await show('/much', 'JSON')
    assert.doesNotMatch(await much.textContent(), /aaaa/)
    await much.getByRole('button', { name: 'Show the first' }).click()
    await much.getByText('aaaa').waitFor()
    assert.ok((await page.evaluate(() => document.body.textContent.length)) < 20_000)
    await close()
  })

  test('a WebSocket is echoed, and its frames are shown', async () => {
    await open()
    const url = await served()
    await page.getByRole('tab', { name: 'Answer' }).first().click()
    await page.locator('#handler').selectOption('echo')
    const visitor = await (await browser.newContext()).newPage()
    const heard = await visitor.evaluate(
      (url) =>
        new Promise((resolve) => {
          const socket = new WebSocket(url)
          socket.onopen = () => socket.send('over and out')
          socket.onmessage = ({ data }) => {
            socket.close()
            resolve(data)
          }
        }),
      url.replace('http', 'ws') + 'chat',
    )
    assert.equal(heard, 'over and out')
    await row('/chat').filter({ hasText: '101' }).click()
    await detail('/chat')
    await page.getByRole('list', { name: 'Frames' }).getByText('over and out').first().waitFor()
    await visitor.context().close()
    await close()
  })

  test('the title counts requests that arrived while the tab was hidden', async () => {
    await open()
    const url = await served()
    const hide = (hidden) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))
      }, hidden)
    const title = await page.title()
    await hide(true)
    await visit(`${url}1`)
    await visit(`${url}2`)
    await page.waitForFunction((title) => document.title === `(2) ${title}`, title)
    await hide(false)
    assert.equal(await page.title(), title)
    await close()
  })

  test('of ten thousand rows only those on the screen are elements', async () => {
    await open()
    await served()
    const { count, height } = await page.evaluate(async () => {
      const { ExchangeList } = await import('/exchange-list.js')
      const { ExchangeStore } = await import('/exchange-store.js')
      const box = document.getElementById('exchanges').cloneNode(false)
      box.hidden = false
      document.getElementById('list-pane').replaceChildren(box)
      const list = new ExchangeList(box, () => {})
      const store = new ExchangeStore(() => {})
      for (let i = 0; i < 10_050; i++) {
        const receivedAt = new Date(1_700_000_000_000 + i).toISOString()
        const of = { method: 'GET', target: `/${i}`, attempt: 1, state: 'ended', status: 200 }
        store.upsert({ id: `x${i}`, receivedAt, ...of, requestBytes: 0, responseBytes: 0 })
      }
      list.show(store.rows())
      await new Promise(requestAnimationFrame)
      box.scrollTop = box.scrollHeight
      await new Promise(requestAnimationFrame)
      await new Promise(requestAnimationFrame)
      return { count: box.querySelectorAll('[role=option]').length, height: box.scrollHeight }
    })
    assert.ok(count > 5 && count < 100, `${count} rows are elements`)
    assert.ok(height >= 10_000 * 20, `${height} pixels`)
    assert.equal(await page.locator('#row-x50').count(), 1, 'the oldest that is kept is seen')
    assert.equal(await page.locator('#row-x49').count(), 0)
    await close()
  })

  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 360]) {
      const viewport = { width, height: 740 }
      for (const path of ['', 'inbox', 'playground', 'status', 'hello']) {
        test(`axe finds nothing in /${path}, ${colorScheme}, ${width} px wide`, async () => {
          await open(path, { colorScheme, viewport })
          await check('at first')
          if (['', 'inbox', 'playground'].includes(path)) await used()
          await close()
        })
      }

      /** Checks a page that serves in each of its states. */
      async function used() {
        const url = await served()
        await check('empty')
        await post(`${url}hook?key=1`, '{"a":[1,{"b":null}],"c":"d"}', ['Cookie', 'a=b'])
        await row('/hook').waitFor()
        await check('with a list')
        await row('/hook').click()
        await detail('/hook')
        await check('with an exchange')
        await page.locator('#request-tab-0').click()
        await press('c')
        await check('with a menu')
        await press('Escape', 'e')
        await page.locator('#edit-target').waitFor()
        await check('with an editor')
        await press('Escape', '?')
        await page.getByRole('dialog').waitFor()
        await check('with help')
        await press('Escape')
        await page.locator('#side-own').click()
        await check('with its own form')
        if (width < 900) await page.locator('#back').click()
        await page.locator('#qr').click()
        await page.getByRole('dialog').waitFor()
        await check('with a QR code')
        await press('Escape')
        await page.locator('#share').click()
        await page.getByRole('dialog').waitFor()
        await check('with a link to share')
        await press('Escape')
        if (await page.locator('#claims').count()) {
          await page.locator('#claims').click()
          await page.locator('#claims-menu').getByText('served in this tab').waitFor()
          await check('with its claims')
          await press('Escape')
        }
        await page.locator('#filter').fill('status>=500 nonsense=1')
        await page.locator('#none-pass').waitFor()
        await check('with a filter')
        await page.locator('#give-up').click()
        await page.locator('#state[data-state="none"]').waitFor()
        await check('with nothing claimed')
      }
    }
  }

  const check = (state) => accessible(page, state)
})
