import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { stopClock } from './clock.js'
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
  stopClock(t)
  const { gateway, exchange } = await serving(t, (r, info) => {
    assert.equal(r.body, null)
    return new Response(info.body)
  })
  gateway.script('content', { status: 200, body: 'of a GET' })
  // Whole if it ends soon, otherwise in parts.
  const { id } = await exchange({ ...streamed, method: 'GET' })
  const answers = () => gateway.seen.answers.filter((a) => a.id === id)
  await until(() => answers().some((a) => !a.more))
  assert.equal(
    answers()
      .map((a) => a.body ?? '')
      .join(''),
    'of a GET',
  )
})

test('content within the envelope is not a stream', async (t) => {
  let body
  const { exchange } = await serving(t, (_, info) => {
    body = info.body
    return new Response(info.content)
  })
  assert.equal((await exchange({ method: 'POST', body: 'inside' })).body, 'inside')
  assert.equal(body, null)
})

test('content can be read as it arrives', async (t) => {
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
    res.writeHead(200).write('half', () => res.destroy())
    return new Promise(() => {})
  })
  assert.equal((await exchange(streamed)).status, 500)
  assert.equal((await reported).error.code, 'handler_failed')
})

// As in Firefox and Safari.
describe('if Request does not accept streams', () => {
  const duplex = Object.getOwnPropertyDescriptor(Request.prototype, 'duplex')
  before(() => delete Request.prototype.duplex)
  after(() => Object.defineProperty(Request.prototype, 'duplex', duplex))

  const text = JSON.stringify({ paper: 'ü'.repeat(40_000) })
  for (const [member, read] of Object.entries({
    text: (r) => r.text(),
    json: async (r) => JSON.stringify(await r.json()),
    arrayBuffer: (r) => r.arrayBuffer(),
    blob: async (r) => {
      const blob = await r.blob()
      assert.equal(blob.type, 'application/json')
      return blob
    },
    body: (r) => r.body,
    clone: async (r) => {
      const { method, url } = r
      const copy = r.clone()
      assert.deepEqual([copy.method, copy.url], [method, url])
      assert.equal(await copy.clone().text(), text)
      assert.equal(await r.text(), text)
      return copy.text()
    },
  })) {
    test(`${member} of a request has the content that streams`, async (t) => {
      const { gateway, exchange } = await serving(t, async (r, info) => {
        assert.ok(r instanceof Request)
        assert.equal(r.bodyUsed, false)
        assert.equal(r.body, info.body)
        const content = await read(r)
        if (member !== 'body') {
          assert.equal(r.bodyUsed, true)
          await assert.rejects(r.text(), TypeError, 'it can be read once')
        }
        return new Response(content)
      })
      gateway.script('content', { status: 200, body: text })
      const headers = [['Content-Type', 'application/json']]
      const { status, body } = await exchange({ ...streamed, headers })
      assert.equal(status, 200, body)
      assert.equal(body, text)
    })
  }

  test('formData of a request has the fields of content that streams', async (t) => {
    const form = new FormData()
    form.set('paper', 'a'.repeat(70_000))
    const sent = new Response(form)
    const { gateway, exchange } = await serving(t, async (r) => {
      return new Response((await r.formData()).get('paper'))
    })
    gateway.script('content', { status: 200, body: await sent.text() })
    const headers = [['Content-Type', sent.headers.get('Content-Type')]]
    const { status, body } = await exchange({ ...streamed, headers })
    assert.equal(status, 200, body)
    assert.equal(body, form.get('paper'))
  })

  test('a request without a stream is the same as elsewhere', async (t) => {
    const { gateway, exchange } = await serving(t, async (r) => {
      return new Response(`${r.body === null} ${await r.text()}`)
    })
    assert.equal((await exchange({ method: 'POST', body: 'inside' })).body, 'false inside')
    gateway.script('content', { status: 200, body: 'of a GET' })
    assert.equal((await exchange({ ...streamed, method: 'GET' })).body, 'true ')
  })
})

test('if Request has no body, as in Firefox, its methods still read short content', async (t) => {
  for (const name of ['body', 'duplex']) {
    const member = Object.getOwnPropertyDescriptor(Request.prototype, name)
    delete Request.prototype[name]
    t.after(() => Object.defineProperty(Request.prototype, name, member))
  }
  const { exchange } = await serving(t, async (r) => {
    const copies = [r.clone(), new Request(r.clone())]
    const read = await Promise.all([r.body, copies[0].body].map((of) => new Response(of).text()))
    return Response.json([...read, await copies[1].text()])
  })
  const answer = await exchange({ method: 'POST', body: 'inside' })
  assert.equal(answer.body, '["inside","inside","inside"]')
  const none = await serving(t, (r) => new Response(`${r.body}`))
  assert.equal((await none.exchange({ method: 'GET' })).body, 'null')
})
