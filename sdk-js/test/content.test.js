import assert from 'node:assert/strict'
import { test } from 'node:test'
import { request, until } from './scripted-gateway.js'
import { serving } from './serving.js'

const streamed = { method: 'POST', bodyUrl: '{origin}/content' }

test('content by a URL is the body of the Request, and of info', async (t) => {
  const { gateway, exchange } = await serving(t, async (r, info) => {
    assert.equal(r.body, info.body)
    assert.equal(info.content.length, 0)
    return new Response(`got ${await r.text()}`)
  })
  gateway.script('content', { status: 200, body: 'what the visitor sends' })
  assert.equal((await exchange(streamed)).body, 'got what the visitor sends')
})

test('content with GET is the body of info', async (t) => {
  const { gateway, exchange } = await serving(t, (r, info) => {
    assert.equal(r.body, null)
    return new Response(info.body)
  })
  gateway.script('content', { status: 200, body: 'of a GET' })
  assert.equal((await exchange({ ...streamed, method: 'GET' })).body, 'of a GET')
})

test('content inside of the request is no stream', async (t) => {
  let body
  const { exchange } = await serving(t, (_, info) => {
    body = info.body
    return new Response(info.content)
  })
  assert.equal((await exchange({ method: 'POST', body: 'inside' })).body, 'inside')
  assert.equal(body, null)
})

test('content is read as it comes', async (t) => {
  let send
  const { gateway } = await serving(t, (r) => new Response(r.body))
  gateway.script('content', (_, res) => {
    res.writeHead(200)
    send = res
    return new Promise(() => {})
  })
  await gateway.deliver(request('x1', streamed))
  const answers = () => gateway.seen.answers.map((a) => a.body)
  await until(() => send)
  for (const text of ['one', 'two']) {
    send.write(text)
    await until(() => answers().includes(text), text)
  }
  send.end()
  await until(() => gateway.seen.answers.some((a) => !a.more))
})

test('a handler that stops reading ends the request for content', async (t) => {
  let ended
  const { gateway, exchange } = await serving(t, async (r) => {
    const reader = r.body.getReader()
    const { value } = await reader.read()
    await reader.cancel()
    return new Response(value)
  })
  gateway.script('content', (_, res) => {
    res.writeHead(200).write('the first of many')
    res.on('close', () => (ended = true))
    return new Promise(() => {})
  })
  assert.equal((await exchange(streamed)).body, 'the first of many')
  await until(() => ended)
})

test('a visitor who leaves fails the content', async (t) => {
  let failed
  const { gateway } = await serving(t, async (r) => {
    await r.text().catch((e) => (failed = e))
    throw failed
  })
  let asked
  gateway.script('content', (_, res) => {
    asked = true
    res.writeHead(200).write('half')
    return new Promise(() => {})
  })
  await gateway.deliver(request('x1', streamed))
  await until(() => asked)
  await gateway.deliver({ type: 'cancel', id: 'x1', reason: 'visitor_gone' })
  await until(() => failed)
  assert.deepEqual(gateway.seen.answers, [])
})

test('content that ends too soon fails, and the answer with it', async (t) => {
  const { gateway, claim, exchange } = await serving(t, async (r) => new Response(await r.text()))
  const reported = new Promise((resolve) => claim.addEventListener('error', resolve))
  gateway.script('content', (_, res) => {
    res.writeHead(200).write('half')
    setTimeout(() => res.destroy(), 20)
    return new Promise(() => {})
  })
  assert.equal((await exchange(streamed)).status, 500)
  assert.equal((await reported).error.code, 'handler_failed')
})
