import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stopClock } from './clock.js'
import { serving } from './serving.js'

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

test('the answer to HEAD has the length of its content, but no content', async (t) => {
  const { exchange } = await serving(t, () => new Response('é!'))
  const { headers, body } = await exchange({ method: 'HEAD' })
  assert.equal(body, undefined)
  assert.deepEqual(
    headers.find((f) => f[0] === 'content-length'),
    ['content-length', '3'],
  )
})

test('the answer to HEAD keeps the handler’s Content-Length', async (t) => {
  const { exchange } = await serving(
    t,
    () => new Response(null, { headers: { 'Content-Length': '77' } }),
  )
  assert.deepEqual((await exchange({ method: 'HEAD' })).headers, [['content-length', '77']])
})

test('fields that frame a message are not sent, because the gateway sets them', async (t) => {
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

test('a Response of fetch can be the answer', async (t) => {
  const { gzipSync } = await import('node:zlib')
  const { createServer } = await import('node:http')
  const upstream = createServer((_, res) => {
    res.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Type': 'text/plain' })
    res.end(gzipSync('decoded by fetch'))
  })
  await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  t.after(() => upstream.close().closeAllConnections())
  stopClock(t)
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
  ['returns nothing', () => undefined],
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
    assert.deepEqual([status, body, headers], [500, 'error 500', [['content-type', 'text/plain']]])
    const { error } = await reported
    assert.equal(error.code, 'handler_failed')
    assert.notEqual(error.cause, undefined)
    assert.equal(claim.state, 'online')
  })
}
