// A person behind a URL: what they answer in the page is the response.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo } from './demo-page.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { field, visit } from './visitor.js'

const form = ['Content-Type', 'application/x-www-form-urlencoded']

describe('ask me', { skip: noBrowser }, () => {
  let gateway, browser, page, url, close

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.start(), startBrowser())
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  async function open(options) {
    ;({ page, url, close } = await openDemo(browser, gateway, 'ask', options))
  }

  const ask = (content, ...fields) => visit(url, { method: 'POST', content, fields })
  const card = (text) => page.locator('.question').filter({ hasText: text })

  test('a tap is the response, and the title counts', async () => {
    await open()
    const asking = ask('question=Ship+it%3F&option=yes&option=no&from=CI', form)
    await card('Ship it?').waitFor()
    assert.match(await page.title(), /^\(1\) /)
    assert.match(await card('Ship it?').textContent(), /CI \(127\.0\.0\.1\) asks, and waits/)
    await card('Ship it?').getByRole('button', { name: 'yes' }).click()
    const { status, content } = await asking
    assert.equal(status, 200)
    assert.equal(content.toString(), 'yes\n')
    await page.locator('#log', { hasText: 'Ship it?' }).waitFor()
    assert.doesNotMatch(await page.title(), /\(/)
    await close()
  })

  test('what is typed is the response, by keyboard, and stays in the log after a reload', async () => {
    await open()
    const asking = ask('Where is <b>lunch</b>?')
    await card('Where is <b>lunch</b>?').waitFor()
    await page.getByLabel('Your answer').focus()
    await page.keyboard.type('At noon, the "usual" place')
    await page.keyboard.press('Enter')
    assert.equal((await asking).content.toString(), 'At noon, the "usual" place\n')
    await page.locator('#log', { hasText: 'usual' }).waitFor()
    await page.reload()
    await page.locator('#log', { hasText: 'usual' }).waitFor()
    await close()
  })

  test('an asker who leaves is crossed out', async () => {
    await open()
    const { port, host } = new URL(url)
    const asker = connect(Number(port), '127.0.0.1')
    asker.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 8\r\n\r\nanybody?`)
    await card('anybody?').waitFor()
    asker.destroy()
    await page.locator('#log [data-end="left"]', { hasText: 'anybody?' }).waitFor()
    assert.equal(await card('anybody?').count(), 0)
    await close()
  })

  test('an agent that cannot wait comes back', async () => {
    await open()
    const content = JSON.stringify({ question: 'Delete it all?', options: ['yes', 'no'] })
    const type = ['Content-Type', 'application/json']
    const accepted = await ask(content, type, ['Prefer', 'respond-async'])
    assert.equal(accepted.status, 202)
    const at = field(accepted.fields, 'Location')
    const waiting = visit(at, {
      fields: [
        ['Prefer', 'wait=60'],
        ['Accept', 'application/json'],
      ],
    })
    await card('Delete it all?').getByRole('button', { name: 'Decline' }).click()
    const { status, content: said } = await waiting
    assert.equal(status, 403)
    assert.equal(JSON.parse(said).status, 'declined')
    await close()
  })

  test('another browser asks by a form', async () => {
    await open()
    const asker = await (await browser.newContext()).newPage()
    await asker.goto(url)
    await asker.getByLabel('Your question').fill('Coming tonight?')
    await asker.getByLabel('Your name').fill('Bo')
    const answered = asker.getByRole('button').click()
    await card('Bo (').getByLabel('Your answer').fill('Yes')
    await card('Bo (').getByRole('button', { name: 'Answer' }).click()
    await answered
    await asker.locator('.answer', { hasText: 'Yes' }).waitFor()
    await asker.context().close()
    await close()
  })

  /** Makes the page hidden, in a browser whose pages cannot show notifications themselves, like Chrome on Android. */
  const onAndroid = () =>
    page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { get: () => true })
      globalThis.Notification = class {
        static permission = 'granted'
        constructor() {
          throw new TypeError('Illegal constructor')
        }
      }
    })

  test('a notification is shown by a service worker, and leads to the tab that rang', async () => {
    await open({ permissions: ['notifications'] })
    const context = page.context()
    const other = await context.newPage()
    await other.goto(page.url())
    await other.locator('#state[data-state="online"]').waitFor()
    await onAndroid()
    const asking = ask('question=Ship+it%3F&option=yes&from=CI', form)
    const notes = () =>
      page.evaluate(async () => {
        const registration = await navigator.serviceWorker.getRegistration('/ask/')
        const shown = (await registration?.getNotifications()) ?? []
        return shown.map(({ title, body }) => [title, body])
      })
    await until(async () => (await notes()).length, 'the notification')
    assert.deepEqual(await notes(), [['CI asks', 'Ship it?']])
    for (const tab of [page, other]) {
      await tab.evaluate(() =>
        navigator.serviceWorker.addEventListener('message', () => (globalThis.focused = true)),
      )
    }
    // Only a person's click may focus a tab, and a test cannot click on a notification.
    await context.serviceWorkers()[0].evaluate(async () => {
      const [notification] = await globalThis.registration.getNotifications()
      globalThis.WindowClient.prototype.focus = function () {
        this.postMessage('focused')
      }
      globalThis.dispatchEvent(new NotificationEvent('notificationclick', { notification }))
    })
    await page.waitForFunction(() => globalThis.focused)
    assert.equal(await other.evaluate(() => globalThis.focused), undefined)
    assert.deepEqual(await notes(), [])
    await card('Ship it?').getByRole('button', { name: 'yes' }).click()
    assert.equal((await asking).status, 200)
    await close()
  })

  test('a page that cannot show notifications says that it must stay in front', async () => {
    await open()
    // This browser has no service workers.
    await page.addInitScript(() => {
      globalThis.ServiceWorkerContainer.prototype.register = () => Promise.reject(new TypeError())
    })
    await page.reload()
    await page.locator('#state[data-state="online"]').waitFor()
    await onAndroid()
    const asking = ask('question=Ship+it%3F&option=yes', form)
    await page.locator('#notify-note', { hasText: 'keep this page in front' }).waitFor()
    await card('Ship it?').getByRole('button', { name: 'yes' }).click()
    assert.equal((await asking).status, 200)
    await close()
  })

  for (const [name, options] of [
    ['light, wide', { viewport: { width: 1280, height: 900 } }],
    ['dark, 360 px wide', { viewport: { width: 360, height: 740 }, colorScheme: 'dark' }],
  ]) {
    test(`axe finds nothing, ${name}`, async () => {
      await open(options)
      const asking = ask('question=Shall+I+deploy%3F&option=yes&option=no', form)
      await card('Shall I deploy?').waitFor()
      await accessible(page, name)
      await card('Shall I deploy?').getByRole('button', { name: 'no' }).click()
      await asking
      await close()
    })
  }
})
