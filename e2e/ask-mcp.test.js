// Agents ask a person by MCP: the clients of the official SDK at the URL of /ask.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo } from './demo-page.js'
import { Gateway } from './gateway.js'
import { connectClient, eras } from './mcp-client.js'
import { startAll } from './start-all.js'
import { field, visit } from './visitor.js'

const json = [
  ['Content-Type', 'application/json'],
  ['Accept', 'application/json, text/event-stream'],
]

describe('ask me, by MCP', { skip: noBrowser }, () => {
  let gateway, browser, page, url, close

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.startBelowPath(), startBrowser())
    ;({ page, url, close } = await openDemo(browser, gateway, 'ask'))
  })
  after(async () => {
    try {
      await close?.()
    } finally {
      await browser?.close()
      await gateway?.stop()
    }
  })

  const card = (text) => page.locator('.question').filter({ hasText: text })
  const call = (client, question, more = {}, options) =>
    client.callTool({ name: 'ask_human', arguments: { question, ...more } }, options)
  const post = (message, ...fields) =>
    visit(`${url}mcp`, {
      method: 'POST',
      content: JSON.stringify(message),
      fields: [...json, ...fields],
    })

  test('the page shows the command that adds it to an agent', async () => {
    assert.equal(
      await page.textContent('#add'),
      `claude mcp add --transport http ask-human '${url}mcp'`,
    )
    assert.equal(await page.textContent('#mcp-url'), `${url}mcp`)
    const qr = page.locator('#invite-qr')
    assert.equal(await qr.getAttribute('alt'), `QR code of ${url}`)
    assert.ok(await qr.evaluate(async (image) => (await image.decode(), image.naturalWidth > 0)))
  })

  for (const era of Object.keys(eras)) {
    describe(`a client of ${era}`, () => {
      let client
      before(async () => {
        client = await connectClient(`${url}mcp`, era)
      })
      after(() => client?.close())

      test('finds one tool', async () => {
        assert.equal(client.getNegotiatedProtocolVersion(), era)
        const { tools } = await client.listTools()
        assert.deepEqual(
          tools.map(({ name, inputSchema }) => [name, Object.keys(inputSchema.properties)]),
          [['ask_human', ['question', 'options']]],
        )
      })

      test('gets what the person taps, and what they type', async () => {
        const tapping = call(client, `Ship it, ${era}?`, { options: ['yes', 'no'] })
        await card(`Ship it, ${era}?`).getByRole('button', { name: 'no' }).click()
        const { content, isError } = await tapping
        assert.deepEqual([content, !isError], [[text('no')], true])
        const typing = call(client, `Where, ${era}?`)
        const asked = card(`Where, ${era}?`)
        assert.match(await asked.textContent(), /agent \((127\.0\.0\.1|\[::1\])\) asks/)
        await asked.getByLabel('Your answer').fill('<b>Here</b>')
        await asked.getByRole('button', { name: 'Answer' }).click()
        assert.deepEqual((await typing).content, [text('<b>Here</b>')])
      })

      test('reports a refusal as an error, not as an answer', async () => {
        const asking = call(client, `May I, ${era}?`)
        await card(`May I, ${era}?`).getByRole('button', { name: 'Decline' }).click()
        const { isError, content } = await asking
        assert.equal(isError, true)
        assert.deepEqual(content, [text('The person does not want to answer this.')])
      })

      test('the question of a client that gives up is crossed out', async () => {
        const leaving = new AbortController()
        const asking = call(client, `Still there, ${era}?`, {}, { signal: leaving.signal })
        const failed = assert.rejects(asking)
        await card(`Still there, ${era}?`).waitFor()
        leaving.abort('enough')
        await failed
        await page.locator('#log [data-end="left"]', { hasText: `Still there, ${era}?` }).waitFor()
        assert.equal(await card(`Still there, ${era}?`).count(), 0)
      })

      test('wrong arguments are an error, and the person sees no question', async () => {
        const { isError } = await call(client, '')
        assert.equal(isError, true)
        assert.equal(await page.locator('.question').count(), 0)
      })
    })
  }

  test('clients of older revisions are answered in their revision', async () => {
    for (const protocolVersion of ['2025-06-18', '2025-03-26', '2024-11-05']) {
      const params = {
        protocolVersion,
        capabilities: {},
        clientInfo: { name: 'old', version: '1' },
      }
      const { status, content } = await post({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params,
      })
      assert.equal(status, 200)
      const [, data] = content.toString().match(/^data: (.+)$/m)
      assert.equal(JSON.parse(data).result.protocolVersion, protocolVersion)
    }
  })

  test('a page of another origin may not ask', async () => {
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
    assert.equal((await post(list)).status, 200)
    assert.equal((await post(list, ['Origin', 'https://elsewhere.example'])).status, 403)
    assert.equal((await post(list, ['Origin', new URL(url).origin])).status, 200)
  })

  test('content that is not a message is refused', async () => {
    const visits = {
      'not JSON': [400, { method: 'POST', content: '{', fields: json }],
      'not of its type': [415, { method: 'POST', content: '{}' }],
      'too large': [413, { method: 'POST', content: ' '.repeat(70_000), fields: json }],
      'no POST': [405, { fields: json }],
    }
    for (const [name, [status, of]] of Object.entries(visits)) {
      const got = await visit(`${url}mcp`, of)
      assert.equal(got.status, status, name)
      assert.match(field(got.fields, 'Content-Type'), /^application\/json/, name)
    }
  })
})

const text = (of) => ({ type: 'text', text: of })
