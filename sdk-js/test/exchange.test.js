import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Hono } from 'hono'
import { AutoRouter } from 'itty-router'
import { serve } from './built.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

test('a Request is what the visitor sent', async (t) => {
  const { exchange } = await serving(t, async (r, info) => {
    const { method, url, headers } = r
    assert.deepEqual([...info.content], [...new Uint8Array(await r.clone().arrayBuffer())])
    return Response.json({ method, url, text: await r.text(), headers: [...headers] })
  })
  const answer = await exchange({
    method: 'POST',
    target: '/a/../b;c?d=%zz&e=\xc3\xa9',
    headers: [
      ['Host', 'demo.localhost:8080'],
      ['Cookie', 'a=b'],
      ['X-Two', '1'],
      ['X-Two', '2'],
      ['X-Bytes', 'Ã©'],
    ],
    body: 'é\n',
  })
  const got = JSON.parse(answer.body)
  assert.deepEqual(got, {
    method: 'POST',
    url: 'http://demo.localhost:8080/b;c?d=%zz&e=%C3%A9',
    text: 'é\n',
    // No Content-Type: nobody sent one.
    headers: [
      ['cookie', 'a=b'],
      ['host', 'demo.localhost:8080'],
      ['x-bytes', 'Ã©'],
      ['x-two', '1, 2'],
    ],
  })
})

test('info has what a Request cannot carry', async (t) => {
  let info
  const { exchange } = await serving(t, (_, i) => {
    info = i
    return new Response()
  })
  const envelope = {
    attempt: 2,
    target: '/%zz',
    remoteAddr: '203.0.113.9:51234',
    httpVersion: '1.0',
  }
  const headers = [
    ['Host', 'x'],
    ['X-Bad', 'a\x00b'],
  ]
  await exchange({ ...envelope, headers, timeoutMs: 1234, bodyBase64: 'AP/+' })
  const { signal, content, responseHeaders, ...rest } = info
  assert.deepEqual([...content], [0, 255, 254], 'a GET has content, too')
  assert.ok(signal instanceof AbortSignal)
  assert.deepEqual(responseHeaders, [])
  assert.deepEqual(rest, {
    ...envelope,
    id: 'x1',
    method: 'GET',
    url: 'http://demo.localhost:8080/%zz',
    base: 'http://demo.localhost:8080/',
    headers,
    timeoutMs: 1234,
  })
})

for (const [base, target, want] of [
  ['http://localhost:8080/at/demo/', '/at/demo/', 'http://localhost:8080/'],
  ['http://localhost:8080/at/demo/', '/at/demo/a?b#c', 'http://localhost:8080/a?b%23c'],
  ['http://localhost:8080/at/demo/', '/at/demo//x/y', 'http://localhost:8080//x/y'],
  ['http://demo.localhost:8080/', '/at/demo/a', 'http://demo.localhost:8080/at/demo/a'],
]) {
  test(`under ${base} the target ${target} is ${want}`, async (t) => {
    const { exchange } = await serving(t, (r) => new Response(r.url))
    assert.equal((await exchange({ base, target })).body, want)
  })
}

for (const method of [
  'TRACE',
  'TRACK',
  'CONNECT',
  'get',
  'patch',
  'PURGE',
  'M-SEARCH',
  'HEAD',
  'OPTIONS',
]) {
  test(`the method ${method} reaches the handler as it is`, async (t) => {
    let seen
    const { exchange } = await serving(t, (r) => {
      seen = r.method
      return new Response(null, { status: 204 })
    })
    const answer = await exchange({ method, body: method === 'HEAD' ? undefined : 'x' })
    assert.deepEqual([seen, answer.status], [method, 204])
  })
}

for (const url of [
  'http://user:secret@demo.localhost:8080/',
  'http://demo.localhost:99999/',
  'nonsense',
  '',
]) {
  test(`a URL that Request refuses (${url}) is answered`, async (t) => {
    const { exchange } = await serving(t, () => new Response('never'))
    assert.equal((await exchange({ url })).status, 400)
  })
}

test('a target without a path is answered', async (t) => {
  const { exchange } = await serving(t, (r, { target }) => new Response(`${r.method} ${target}`))
  const answer = await exchange({
    method: 'OPTIONS',
    target: '*',
    url: 'http://demo.localhost:8080',
  })
  assert.equal(answer.body, 'OPTIONS *')
})

test('content that is UTF-8 is text, a byte order mark included, and other content is base64', async (t) => {
  const { exchange } = await serving(t, (_, { content }) => new Response(content))
  const cases = [
    [Buffer.from('\ufeffé\0'), { body: '\ufeffé\0' }],
    [Buffer.from([0xff, 0xfe, 0]), { bodyBase64: '//4A' }],
    [Buffer.from([0xed, 0xa0, 0x80]), { bodyBase64: '7aCA' }],
    [Buffer.alloc(100_000, 0xff), { bodyBase64: Buffer.alloc(100_000, 0xff).toString('base64') }],
    [Buffer.alloc(0), {}],
  ]
  for (const [bytes, want] of cases) {
    const { body, bodyBase64 } = await exchange({
      method: 'POST',
      bodyBase64: bytes.toString('base64'),
    })
    assert.deepEqual({ body, bodyBase64 }, { body: undefined, bodyBase64: undefined, ...want })
  }
})

test('repeated Set-Cookie fields stay separate, and others are added', async (t) => {
  const { exchange } = await serving(t, (_, { responseHeaders }) => {
    responseHeaders.push(['Set-Cookie', 'c=3'], ['X-Exact', 'Case'])
    const headers = new Headers([
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT'],
    ])
    return new Response(null, { headers })
  })
  assert.deepEqual((await exchange({})).headers, [
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT'],
    ['Set-Cookie', 'c=3'],
    ['X-Exact', 'Case'],
  ])
})

test('the answer to HEAD tells the length of its content and has none', async (t) => {
  const { exchange } = await serving(t, () => new Response('é!'))
  const { headers, body } = await exchange({ method: 'HEAD' })
  assert.equal(body, undefined)
  assert.deepEqual(
    headers.find((f) => f[0] === 'content-length'),
    ['content-length', '3'],
  )
})

test('the answer to HEAD keeps the length that the handler tells', async (t) => {
  const { exchange } = await serving(
    t,
    () => new Response(null, { headers: { 'Content-Length': '77' } }),
  )
  assert.deepEqual((await exchange({ method: 'HEAD' })).headers, [['content-length', '77']])
})

test('framing is left to the gateway', async (t) => {
  const { exchange } = await serving(
    t,
    () =>
      new Response('hello', {
        headers: { 'Content-Length': '99', 'Transfer-Encoding': 'chunked', 'X-A': '1' },
      }),
  )
  const { headers } = await exchange({})
  assert.deepEqual(headers, [
    ['content-type', 'text/plain;charset=UTF-8'],
    ['x-a', '1'],
  ])
})

test('what fetch brings can be passed on', async (t) => {
  const { gzipSync } = await import('node:zlib')
  const { createServer } = await import('node:http')
  const upstream = createServer((_, res) => {
    res.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Type': 'text/plain' })
    res.end(gzipSync('decoded by fetch'))
  })
  await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  t.after(() => upstream.close().closeAllConnections())
  const { exchange } = await serving(t, () => fetch(`http://127.0.0.1:${upstream.address().port}/`))
  const { headers, body } = await exchange({})
  assert.equal(body, 'decoded by fetch')
  assert.deepEqual(
    headers.map((f) => f[0]).filter((name) => /encoding|length/.test(name)),
    [],
  )
})

for (const [what, handler] of [
  [
    'throws',
    () => {
      throw new Error('oh')
    },
  ],
  ['rejects', () => Promise.reject(new Error('oh'))],
  [
    'throws no error',
    () => {
      throw null
    },
  ],
  ['gives nothing', () => undefined],
  ['gives a string', () => 'hello'],
  ['gives a network error', () => Response.error()],
  [
    'gives a Response that was read already',
    async () => {
      const response = new Response('x')
      await response.text()
      return response
    },
  ],
  [
    'gives content that fails',
    () => new Response(new ReadableStream({ start: (c) => c.error(new Error('oh')) })),
  ],
  [
    'adds what is no field',
    (_, { responseHeaders }) => {
      responseHeaders.push(null)
      return new Response()
    },
  ],
]) {
  test(`a handler that ${what} becomes 500 and an error`, async (t) => {
    const { exchange, claim } = await serving(t, handler)
    const reported = new Promise((resolve) => claim.addEventListener('error', resolve))
    const { status, body, headers } = await exchange({})
    assert.deepEqual(
      [status, body, headers],
      [500, 'Internal Server Error', [['content-type', 'text/plain']]],
    )
    const { error } = await reported
    assert.equal(error.code, 'handler_failed')
    assert.notEqual(error.cause, undefined)
    assert.equal(claim.state, 'online')
  })
}

test('a cancel aborts the request, and nothing is answered', async (t) => {
  let signal
  const { gateway, claim } = await serving(t, async (r) => {
    signal = r.signal
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  const errors = []
  claim.addEventListener('error', (e) => errors.push(e))
  const ended = new Promise((resolve) => claim.addEventListener('exchange', resolve))
  await gateway.deliver(request('x1'))
  await until(() => signal)
  assert.equal(signal.aborted, false)
  await gateway.deliver({ type: 'cancel', id: 'x1', reason: 'visitor_gone' })
  assert.equal((await ended).response, undefined)
  assert.equal(signal.aborted, true)
  assert.deepEqual([gateway.seen.answers, errors], [[], []])
})

test('the time of an exchange ends it, whatever its handler does', async (t) => {
  const signals = []
  const { gateway, exchange } = await serving(
    t,
    (r) => {
      signals.push(r.signal)
      return r.url.endsWith('/hang') ? new Promise(() => {}) : new Response()
    },
    { concurrency: 1 },
  )
  await gateway.deliver(request('hung', { target: '/hang', timeoutMs: 100 }))
  assert.equal((await exchange({})).status, 200, 'its place is free again')
  assert.equal(signals[0].reason.name, 'TimeoutError')
  assert.deepEqual(
    gateway.seen.answers.map((a) => a.id),
    ['x1'],
  )
})

test('no more handlers run than concurrency says, and all are served', async (t) => {
  let running = 0
  let most = 0
  const { gateway } = await serving(
    t,
    async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running--
      return new Response()
    },
    { concurrency: 3 },
  )
  await gateway.deliver(...Array.from({ length: 20 }, (_, i) => request(`x${i}`)))
  await until(() => gateway.seen.answers.length === 20)
  assert.equal(most, 3)
})

test('what is cancelled while it waits for its turn is not handled', async (t) => {
  const handled = []
  let go
  const { gateway } = await serving(
    t,
    async (_, { id }) => {
      handled.push(id)
      await new Promise((resolve) => (go = resolve))
      return new Response()
    },
    { concurrency: 1 },
  )
  await gateway.deliver(request('a'), request('b'))
  await gateway.deliver({ type: 'cancel', id: 'b', reason: 'visitor_gone' })
  await until(() => gateway.seen.polls.length === 3 && go)
  go()
  await until(() => gateway.seen.answers.length === 1)
  await gateway.deliver(request('c'))
  await until(() => handled.length === 2)
  go()
  await until(() => gateway.seen.answers.length === 2)
  assert.deepEqual(handled, ['a', 'c'])
})

test('every exchange is told of, with what was posted', async (t) => {
  const { exchange, claim } = await serving(t, () => new Response('hi', { status: 201 }))
  const told = new Promise((resolve) => claim.addEventListener('exchange', resolve))
  await exchange({ target: '/told' })
  const e = await told
  assert.deepEqual(
    [e.request.target, e.response.status, e.response.body, e.result],
    ['/told', 201, 'hi', 'accepted'],
  )
  assert.ok(e.durationMs >= 0 && e.durationMs < 5000)
})

test('a Hono app is served unchanged', async (t) => {
  const app = new Hono()
  app.get('/hi/:name', (c) => c.json({ hi: c.req.param('name'), from: c.env.remoteAddr }))
  app.post('/form', async (c) => c.text(JSON.stringify(await c.req.parseBody())))
  const { exchange } = await serving(t, app.fetch)
  const base = 'http://localhost:8080/at/demo/'
  const hi = await exchange({ base, target: '/at/demo/hi/you' })
  assert.deepEqual(JSON.parse(hi.body), { hi: 'you', from: '127.0.0.1:5' })
  const headers = [['Content-Type', 'application/x-www-form-urlencoded']]
  assert.equal(
    (await exchange({ method: 'POST', target: '/form', headers, body: 'a=1' })).body,
    '{"a":"1"}',
  )
  assert.equal((await exchange({ target: '/none' })).status, 404)
})

test('an itty-router app is served unchanged', async (t) => {
  const router = AutoRouter()
  router.get('/hi/:name', ({ name }) => `hi ${name}`)
  router.post('/json', async (r) => ({ got: await r.json() }))
  const { exchange } = await serving(t, router.fetch)
  assert.equal((await exchange({ target: '/hi/you' })).body, '"hi you"')
  const headers = [['Content-Type', 'application/json']]
  const json = await exchange({ method: 'POST', target: '/json', headers, body: '{"a":1}' })
  assert.equal(json.body, '{"got":{"a":1}}')
  assert.equal((await exchange({ target: '/none' })).status, 404)
})

async function serving(t, handler, options) {
  const gateway = await scriptedGateway()
  const claim = await serve(handler, { gateway: gateway.origin, drainMs: 0, ...options })
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  let n = 0
  /** Delivers one request and gives the answer to it. */
  async function exchange(members) {
    const id = `x${++n}`
    await gateway.deliver(request(id, members))
    const answer = () => gateway.seen.answers.find((a) => a.id === id)
    await until(answer, `an answer to ${id}`)
    return answer()
  }
  return { gateway, claim, exchange }
}
