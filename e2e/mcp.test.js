// The MCP server in a tab: agents read and change the page, with the approval of the person if they wish.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo } from './demo-page.js'
import { Gateway } from './gateway.js'
import { connectClient, eras } from './mcp-client.js'
import { startAll } from './start-all.js'
import { visit } from './visitor.js'

describe('the MCP server in a tab', { skip: noBrowser }, () => {
  let gateway, browser, page, url, close
  const clients = []

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.startBelowPath(), startBrowser())
  })
  after(async () => {
    for (const client of clients) await client.close()
    await browser?.close()
    await gateway?.stop()
  })

  async function open(options) {
    ;({ page, url, close } = await openDemo(browser, gateway, 'mcp', options))
  }

  async function connect(era) {
    const client = await connectClient(`${url}mcp`, era)
    clients.push(client)
    /** Calls a tool, and returns its text, or throws it if it is an error. */
    const call = async (name, args = {}, options) => {
      const { content, isError } = await client.callTool({ name, arguments: args }, options)
      if (isError) throw new Error(content[0].text)
      return content[0].text
    }
    return { client, call }
  }

  const note = (text) => page.locator('#notes li', { hasText: text })
  const card = () => page.locator('#waiting .call')

  for (const era of Object.keys(eras)) {
    test(`a client of ${era} reads and changes the page`, async () => {
      await open()
      assert.equal(
        await page.textContent('#curl'),
        `claude mcp add --transport http board '${url}mcp'`,
      )
      const { client, call } = await connect(era)
      const { tools } = await client.listTools()
      assert.deepEqual(
        tools.map(({ name, annotations }) => [name, annotations.readOnlyHint]),
        [
          ['read_board', true],
          ['add_note', false],
          ['change_note', false],
          ['remove_note', false],
          ['set_board', false],
        ],
      )
      assert.equal(await call('add_note', { text: 'From <b>me</b>' }), 'Added note 2.')
      await note('From <b>me</b>').waitFor()
      await call('change_note', { id: 2, done: true })
      assert.ok(await note('From <b>me</b>').getByRole('checkbox').isChecked())
      await call('set_board', { title: 'Today', color: 'amber' })
      await page.getByRole('heading', { name: 'Today' }).waitFor()
      await note('From <b>me</b>').getByRole('button', { name: 'Remove' }).click()
      await page.getByLabel('A new note').fill('By hand')
      await page.keyboard.press('Enter')
      assert.deepEqual(JSON.parse(await call('read_board')), {
        title: 'Today',
        color: 'amber',
        notes: [
          { id: 1, text: 'Have an agent add a note', done: false },
          { id: 3, text: 'By hand', done: false },
        ],
      })
      await assert.rejects(call('remove_note', { id: 9 }), /There is no note 9/)
      await assert.rejects(call('set_board', { color: 'url(//x)' }))
      await page.locator('#calls [data-end="failed"]', { hasText: 'There is no note 9' }).waitFor()
      await page.reload()
      await page.locator('#state[data-state="online"]').waitFor()
      assert.equal(await page.getAttribute('#url', 'href'), url, 'the label stays')
      await note('By hand').waitFor()
      await close()
    })

    test(`the person allows and refuses calls of a client of ${era}`, async () => {
      await open()
      await page.getByLabel('When an agent calls a tool').selectOption('changes')
      const { call } = await connect(era)
      await call('read_board')
      const adding = call('add_note', { text: 'Allowed' })
      assert.match(await card().textContent(), /add_note/)
      assert.match(await page.title(), /^\(1\) /)
      assert.equal(await note('Allowed').count(), 0)
      await card().getByRole('button', { name: 'Allow' }).click()
      assert.equal(await adding, 'Added note 2.')
      await note('Allowed').waitFor()

      const removing = call('remove_note', { id: 2 })
      const refused = assert.rejects(removing, /did not allow/)
      await card().locator('.about', { hasText: 'Allowed' }).waitFor()
      await card().getByRole('button', { name: 'Refuse' }).press('Enter')
      await refused
      assert.equal(await note('Allowed').count(), 1)
      assert.equal(await page.evaluate(() => document.activeElement.id), 'approve')

      await page.getByLabel('When an agent calls a tool').selectOption('all')
      const leaving = new AbortController()
      const left = assert.rejects(call('read_board', {}, { signal: leaving.signal }))
      await card().waitFor()
      leaving.abort('enough')
      await left
      await card().waitFor({ state: 'detached' })
      await close()
    })
  }

  test('a visitor without MCP gets a page with the URL of the server', async () => {
    await open()
    const text = `An MCP server answers at ${url}mcp\n`
    const [at, elsewhere] = [await visit(url), await visit(`${url}other`)]
    assert.deepEqual([at.status, `${at.content}`], [200, text])
    assert.deepEqual([elsewhere.status, `${elsewhere.content}`], [404, text])
    await close()
  })

  test('a page that cannot load its MCP server says so, and tries again', async () => {
    const context = await browser.newContext()
    let broken = true
    await context.route('**/board-tools.js', (route) => (broken ? route.abort() : route.continue()))
    page = await context.newPage()
    await page.goto(`${gateway.url}mcp`)
    await page.locator('#state[data-state="online"]').waitFor()
    url = await page.getAttribute('#url', 'href')
    assert.equal((await visit(`${url}mcp`)).status, 503)
    broken = false
    assert.equal((await visit(`${url}mcp`)).status, 405)
    await context.close()
  })

  for (const [name, options] of [
    ['light, wide', { viewport: { width: 1280, height: 900 } }],
    ['dark, 360 px wide', { viewport: { width: 360, height: 740 }, colorScheme: 'dark' }],
  ]) {
    test(`axe finds nothing, ${name}`, async () => {
      await open(options)
      const { call } = await connect('2026-07-28')
      await call('add_note', { text: 'One\nmore ' + 'x'.repeat(200) })
      await call('change_note', { id: 1, done: true })
      await assert.rejects(call('remove_note', { id: 9 }))
      await page.getByLabel('When an agent calls a tool').selectOption('all')
      const reading = call('read_board')
      await card().waitFor()
      await accessible(page, name)
      await card().getByRole('button', { name: 'Allow' }).click()
      await reading
      await close()
    })
  }
})
