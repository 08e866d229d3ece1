// A page of another origin serves by the older protocols, which do not check origins.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { startSite } from './site.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { visit } from './visitor.js'

describe('a page of another origin', { skip: noBrowser }, () => {
  let gateway, browser, site, page

  before(async () => {
    ;[gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
    page = await browser.newPage()
    await page.goto(`${site.url}empty`)
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  const family = async () =>
    (await (await fetch(`${gateway.url}.well-known/reversehttp`)).json()).family

  test('serves by ReverseHttp of 2008', async () => {
    const at = (await family()).reversehttp
    const publicURL = await page.evaluate(async (at) => {
      const form = new URLSearchParams({ name: 'old', token: 'secret' })
      const claimed = await fetch(at, { method: 'POST', body: form })
      if (claimed.status !== 201) throw new Error(`claiming: ${claimed.status}`)
      const links = (response) =>
        Object.fromEntries(
          [...response.headers.get('Link').matchAll(/<([^>]*)>; rel="(\w+)"/g)].map((m) => [
            m[2],
            m[1],
          ]),
        )
      let { first: next, related } = links(claimed)
      globalThis.served = (async () => {
        for (let left = 3; left;) {
          const request = next
          const polled = await fetch(request)
          next = links(polled).next
          if (polled.status === 204) continue
          const from = polled.headers.get('Requesting-Client')
          const [line] = (await polled.text()).split('\r\n')
          const replied = await fetch(request, {
            method: 'POST',
            headers: { 'Content-Type': 'message/http' },
            body: `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n${line} from ${from.split(':')[0]}`,
          })
          if (replied.status !== 202) throw new Error(`replying: ${replied.status}`)
          left--
        }
      })()
      return related
    }, at)
    for (const path of ['one', 'two', 'three?x=1']) {
      const { status, content } = await visit(publicURL + path)
      assert.equal(status, 200)
      assert.equal(content.toString(), `GET /${path} HTTP/1.1 from 127.0.0.1`)
    }
    await page.evaluate(() => globalThis.served)
  })

  test('serves by COMET of 2008', async () => {
    const at = (await family()).comet2008.replace('{label}', 'comet')
    await page.evaluate((at) => {
      const ask = (answer) =>
        fetch(at, {
          method: 'POST',
          headers: { Authorization: 'Bearer secret' },
          body: answer && JSON.stringify(answer),
        }).then((response) => response.json())
      globalThis.served = (async () => {
        let event = await ask()
        for (let left = 2; left;) {
          if (!event['message-id']) {
            event = await ask()
            continue
          }
          const answer = {
            'message-id': event['message-id'],
            status: 200,
            headers: [['Content-Type', 'text/plain']],
            body: `${event.method} ${event['request-uri']} ${event.body}`,
          }
          left--
          if (left) event = await ask(answer)
          else void ask(answer) // its poll stays open
        }
      })()
    }, at)
    const claim = `${gateway.url}claims/comet`
    const headers = { Authorization: 'Bearer secret' }
    await until(async () => (await fetch(claim, { headers })).ok, 'the page claims the label')
    const url = `http://comet.localhost:${gateway.port}/`
    for (const path of ['one', 'two']) {
      const { status, content } = await visit(url + path, { method: 'POST', content: 'hé' })
      assert.equal(status, 200)
      assert.equal(content.toString(), `POST /${path} hé`)
    }
    await page.evaluate(() => globalThis.served)
  })
})
