// The playground: its editor, templates, and links that carry code.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo } from './demo-page.js'
import { Gateway } from './gateway.js'
import { connectClient } from './mcp-client.js'
import { startAll } from './start-all.js'
import { field, visit } from './visitor.js'

describe('the playground', { skip: noBrowser }, () => {
  let gateway, browser, context, page, url, close

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.startBelowPath(), startBrowser())
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  async function open(options, path = 'playground') {
    ;({ context, page, url, close } = await openDemo(browser, gateway, path, options))
    await page.locator('div#code').waitFor({ state: 'attached' })
  }

  const applied = () => page.locator('#applied', { hasText: /^applied at/ }).waitFor()
  async function template(name) {
    await page.getByLabel('Begin with a template').selectOption(name)
    await page.locator('#applied', { hasText: /^changed, not applied/ }).waitFor()
    await page.getByRole('button', { name: 'Apply' }).click()
    await applied()
  }
  const apply = async (code) => {
    await page.getByLabel('Code').fill(code)
    await page.getByRole('button', { name: 'Apply' }).click()
  }

  test('code that is typed into the editor answers, and its keys are not shortcuts', async () => {
    await open()
    await page.getByLabel('Code').focus()
    await page.keyboard.press('Control+A')
    await page.keyboard.type("serve(() => new Response('jkrecp?/'))")
    await page.keyboard.press('Control+Enter')
    await applied()
    assert.equal(`${(await visit(url)).content}`, 'jkrecp?/')
    await page.keyboard.press('Control+Z')
    await page.locator('#applied', { hasText: /^changed, not applied/ }).waitFor()
    await close()
  })

  test('templates of requests and responses answer', async () => {
    await open()
    await template('JSON API')
    const content = '{"text":"milk"}'
    const made = await visit(`${url}notes`, { method: 'POST', content })
    assert.deepEqual([made.status, JSON.parse(made.content)], [201, { text: 'milk', id: 1 }])
    assert.equal(JSON.parse((await visit(`${url}notes/1`)).content).text, 'milk')
    assert.equal((await visit(`${url}notes/1`, { method: 'DELETE' })).status, 204)
    assert.equal((await visit(`${url}notes/1`)).status, 404)

    await template('Hono')
    assert.equal(await page.textContent('#curl'), `curl '${url}hello/you'`)
    const hello = await visit(`${url}hello/you`)
    assert.equal(field(hello.fields, 'X-Visits'), '1')
    assert.deepEqual(JSON.parse(hello.content), { hello: 'you' })
    assert.equal((await visit(`${url}nothing`)).status, 404)

    await template('MCP server')
    const client = await connectClient(`${url}mcp`, '2026-07-28')
    const { content: said } = await client.callTool({ name: 'roll', arguments: { sides: 2 } })
    assert.match(said[0].text, /^[12]$/)
    await client.close()
    await close()
  })

  test('events reach the visitor at once, and end when the code is replaced', async () => {
    await open()
    await template('Server-sent events')
    const { port, pathname } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`)
    let got = ''
    const twice = new Promise((resolve) => {
      socket.on('data', (chunk) => {
        got += chunk
        if (got.includes('id: 2\n')) resolve()
      })
    })
    const cut = new Promise((resolve) => socket.on('close', resolve))
    socket.on('error', () => {})
    await twice
    assert.match(got, /content-type: text\/event-stream/i)
    await apply("serve(() => new Response('other'))")
    await cut
    assert.equal(`${(await visit(url)).content}`, 'other')
    await context.close() // The claim says in the console that an answer was cut.
  })

  test('a WebSocket is answered by the code', async () => {
    await open()
    await template('WebSocket')
    assert.equal((await visit(url)).status, 426)
    const socket = new WebSocket(url.replace('http', 'ws'))
    const heard = []
    const closed = new Promise((resolve) => socket.on('close', resolve))
    await new Promise((resolve) => {
      socket.on('message', (data) => {
        heard.push(`${data}`)
        if (heard.length === 1) socket.send('hello')
        if (heard.length === 2) resolve()
      })
    })
    assert.deepEqual(heard, ['1 of us here', 'hello'])
    await apply("serve(() => new Response('other'))")
    assert.equal(await closed, 1012)
    await close()
  })

  test('a link carries code, but does not run it', async () => {
    await open()
    await page.getByLabel('Code').fill("serve(() => new Response('from a link'))")
    const fragment = await page.evaluate(async () => {
      const { toFragment } = await import('/code-link.js')
      return toFragment("serve(() => new Response('from a link'))")
    })
    await close()

    await open({}, `playground${fragment}`)
    assert.equal(new URL(page.url()).hash, '')
    await page.getByText('A link brought this code').waitFor()
    assert.match(await page.getByLabel('Code').textContent(), /from a link/)
    const before = JSON.parse((await visit(url)).content)
    assert.equal(before.hello, 'world')
    await page.reload()
    await page.locator('#state[data-state="online"]').waitFor()
    assert.equal(JSON.parse((await visit(url)).content).hello, 'world', 'nor after a reload')
    await page.evaluate((to) => (location.hash = to), fragment)
    await page.getByText('A link brought this code').waitFor()
    assert.equal(
      JSON.parse((await visit(url)).content).hello,
      'world',
      'nor in a page that is open',
    )
    await page.getByRole('button', { name: 'Apply' }).click()
    await applied()
    assert.equal(`${(await visit(url)).content}`, 'from a link')
    await close()

    await open({}, 'playground#code=damaged')
    await page.getByRole('alert').filter({ hasText: 'the link is damaged' }).waitFor()
    assert.equal((await visit(url)).status, 200)
    await close()
  })

  test('an error has the line in the code, whatever is added to the code', async () => {
    await open()
    await apply("import { Hono } from 'hono'\nserve(() => {\n  throw new Error('oh')\n})")
    await applied()
    assert.equal((await visit(url)).status, 500)
    await page.locator('#code-error', { hasText: 'Error: oh (line 3)' }).waitFor()
    await apply("import { a } from 'express'\nserve(() => {})")
    await page.locator('#code-error', { hasText: 'this page has no express' }).waitFor()
    await close()
  })

  for (const [name, options] of [
    ['light, wide', { viewport: { width: 1280, height: 900 } }],
    ['dark, 360 px wide', { viewport: { width: 360, height: 740 }, colorScheme: 'dark' }],
  ]) {
    test(`axe finds nothing in the editor, ${name}`, async () => {
      await open(options)
      if (name.includes('360')) await page.locator('#to-own').click()
      await template('MCP server')
      await accessible(page, name)
      await close()
    })
  }
})
