import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serving } from './serving.js'

test('the Request has what the visitor sent', async (t) => {
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
    // The visitor sent no Content-Type.
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
  const { signal, content, responseHeaders, earlyHints, ...rest } = info
  assert.equal(typeof earlyHints, 'function')
  assert.deepEqual([...content], [0, 255, 254], 'a GET has content, too')
  assert.ok(signal instanceof AbortSignal)
  assert.deepEqual(responseHeaders, [])
  assert.deepEqual(rest, {
    ...envelope,
    id: 'x1',
    method: 'GET',
    url: 'http://demo.localhost:8080/%zz',
    base: 'http://demo.localhost:8080/',
    body: null,
    headers,
    timeoutMs: 1234,
  })
})

for (const [base, target, want] of [
  ['http://localhost:8080/at/demo/', '/at/demo/', 'http://localhost:8080/'],
  ['http://localhost:8080/at/demo/', '/at/demo/a?b#c', 'http://localhost:8080/a?b%23c'],
  ['http://localhost:8080/at/demo/', '/at/demo//x/y', 'http://localhost:8080//x/y'],
  // A target never becomes an authority.
  [
    'http://localhost:8080/at/demo/',
    '/at/demo//evil.example/%zz',
    'http://localhost:8080//evil.example/%zz',
  ],
  [
    'http://demo.localhost:8080/',
    '//evil.example/%zz',
    'http://demo.localhost:8080//evil.example/%zz',
  ],
  ['http://demo.localhost:8080/', '//u@evil.example', 'http://demo.localhost:8080//u@evil.example'],
  ['http://demo.localhost:8080/', '/\\evil.example', 'http://demo.localhost:8080//evil.example'],
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
