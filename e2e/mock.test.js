// A mock API: handlers of MSW and an app of Hono, edited in a tab, answer front ends of any origin.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo, picture, windows } from './demo-page.js'
import { Gateway } from './gateway.js'
import { startSite } from './site.js'
import { startAll } from './start-all.js'
import { field, visit } from './visitor.js'

describe('mock API', { skip: noBrowser }, () => {
  let gateway, browser

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.start(), startBrowser())
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  const open = (options, at = gateway) => openDemo(browser, at, 'mock', options)
  const json = async (url, options) => {
    const { status, content } = await visit(url, options)
    return [status, JSON.parse(content)]
  }
  const imports = "import { http, HttpResponse } from 'msw'\nimport { Hono } from 'hono'\n"
  const apply = async (page, code) => {
    await page.getByLabel('MSW handlers').fill(imports + code)
    await page.keyboard.press('Control+Enter')
  }

  test('handlers of MSW come first, then the app of Hono, then a list of routes', async () => {
    const { page, url, close } = await open()
    assert.deepEqual(await json(`${url}users/1`), [200, { id: 1, name: 'Ada' }])
    assert.deepEqual(await json(`${url}users/9`), [404, { error: 'no such user' }])
    const fields = [['Content-Type', 'application/json']]
    const made = await json(`${url}users`, { method: 'POST', content: '{"name":"Alan"}', fields })
    assert.deepEqual(made, [201, { id: 3, name: 'Alan' }])
    assert.deepEqual((await json(`${url}users/3`))[1], { id: 3, name: 'Alan' })
    assert.equal((await json(`${url}users`))[1].length, 3)
    const [status, { detail, routes }] = await json(`${url}other`)
    assert.equal(status, 404)
    assert.match(detail, /GET \/other/)
    assert.deepEqual(routes, ['GET /users/:id', 'GET /slow', 'GET /users', 'POST /users'])
    const newest = page.locator('#exchanges [role=option][aria-posinset="1"]')
    await newest.locator('.target', { hasText: '/other' }).waitFor()
    await close()
  })

  test('applied code answers, also after a reload, and code with an error changes nothing', async () => {
    const { page, url, close } = await open()
    await apply(
      page,
      `mock(http.put('/a/*', async ({ request }) => HttpResponse.text(await request.text(), {
      status: 202, headers: { 'X-Own': 'yes' } })))`,
    )
    await page.locator('#applied', { hasText: /^applied at/ }).waitFor()
    const put = () => visit(`${url}a/b`, { method: 'PUT', content: 'as sent' })
    const { status, fields, content } = await put()
    assert.equal(`${status} ${content} ${field(fields, 'X-Own')}`, '202 as sent yes')
    await apply(page, 'mock(http.get(')
    await page.locator('#code-error', { hasText: /./ }).waitFor()
    assert.equal((await put()).status, 202)
    await apply(page, 'mock(5)')
    await page.locator('#code-error', { hasText: 'mock takes MSW handlers' }).waitFor()
    assert.equal((await put()).status, 202)
    await apply(page, "const app = new Hono()\napp.get('/', (c) => c.text('from Hono'))\nmock(app)")
    await page.locator('#applied', { hasText: /^applied at/ }).waitFor()
    assert.equal((await visit(url)).content.toString(), 'from Hono')
    await page.reload()
    await page.locator('#state[data-state="online"]').waitFor()
    assert.equal((await visit(url)).content.toString(), 'from Hono')
    await close()
  })

  test('a resolver that throws is a 500; one that loops is a 503, and can be ended', async () => {
    const { page, url, close } = await open()
    await apply(
      page,
      `mock(
      http.get('/throws', () => { throw new Error('my mistake') }),
      http.get('/loops', () => { for (;;); }),
      http.get('/fine', () => HttpResponse.text('fine')))`,
    )
    await page.locator('#applied', { hasText: /^applied at/ }).waitFor()
    assert.equal((await visit(`${url}throws`)).status, 500)
    assert.equal((await visit(`${url}fine`)).status, 200)
    const looped = await visit(`${url}loops`)
    assert.equal(looped.status, 503)
    assert.equal(JSON.parse(looped.content).code, 'busy')
    await page.getByRole('button', { name: 'Restart the code' }).click()
    await page.locator('#hangs').waitFor({ state: 'hidden' })
    assert.equal((await visit(`${url}fine`)).content.toString(), 'fine')
    await close()
  })

  test('a page of another origin can call it, with a preflight, unless that is forbidden', async () => {
    const { page, url, context, close } = await open()
    const site = await startSite()
    try {
      const front = await context.newPage()
      await front.goto(`${site.url}empty`)
      const call = () =>
        front.evaluate(async (at) => {
          const headers = { 'Content-Type': 'application/json', 'X-Key': '1' }
          const body = JSON.stringify({ name: 'Alan' })
          return fetch(at, { method: 'POST', headers, body }).then(
            (response) => response.status,
            () => 'refused',
          )
        }, `${url}users`)
      assert.equal(await call(), 201)
      await page.getByLabel('Let pages of any origin call it').uncheck()
      // Another path, because browsers cache the answers to preflights.
      const other = `${url}users/1`
      const read = (at) =>
        fetch(at).then(
          (r) => r.status,
          () => 'refused',
        )
      assert.equal(await front.evaluate(read, other), 'refused')
      await front.close()
      await close()
    } finally {
      await site.close()
    }
  })

  test('it also works below a path', async () => {
    const below = await Gateway.startBelowPath()
    try {
      const { url, close } = await open({}, below)
      assert.deepEqual(await json(`${url}users/2`), [200, { id: 2, name: 'Grace' }])
      assert.equal((await json(`${url}users`))[1].length, 2)
      await close()
    } finally {
      await below.stop()
    }
  })

  for (const [name, options] of windows) {
    test(`axe finds nothing, ${name}`, async () => {
      const { page, url, close } = await open(options)
      await accessible(page, `at first, ${name}`)
      await visit(`${url}users/1`)
      await page.locator('#exchanges [role=option]').first().waitFor({ state: 'attached' })
      await accessible(page, `with an exchange, ${name}`)
      await picture(page, `mock ${name}`)
      await close()
    })
  }
})
