// The framed form, in both directions. Cases that are data are in schema/vectors/client.json, which runs in every form.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './built.js'
import { frame } from './framed.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

const partBytes = 262_144
const most = 983_040
const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7919) >> 3))
const contentOf = ({ body, bodyBase64 }) =>
  Buffer.from(body ?? bodyBase64 ?? '', bodyBase64 && 'base64')
const results = (...statuses) => ({
  status: 202,
  json: { results: statuses.map((status) => ({ id: 'x1', status })) },
})
/** For each POST, how many chunks of the stream had been read when it was full. */
const filled = [12, 27, 42]
const statuses = [1, 2, 4].map((n) => Array.from({ length: n }, () => 'accepted'))
/** Answers the first POSTs of a fast stream once the next ones are full. */
function hold(gateway, s, posts = 3) {
  for (let i = 0; i < posts; i++) {
    gateway.script('responses', async () => {
      // The next chunk is pulled once there is one.
      await until(() => s.pulls > filled[i])
      return results(...statuses[i])
    })
  }
}

async function serving(t, handler, options, limits) {
  const gateway = await scriptedGateway({
    transports: ['json', 'ndjson', 'framed'],
    limits: { framedInlineBytes: 262_144, ...limits },
  })
  const claim = await serve(handler, { gateway: gateway.origin, drainMs: 0, ...options })
  const ended = []
  const states = []
  const errors = []
  claim.addEventListener('exchange', (e) => ended.push(e))
  claim.addEventListener('statechange', (e) => states.push(e.state))
  claim.addEventListener('error', (e) => errors.push(e.message))
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  await until(() => gateway.streams.length)
  return { gateway, claim, ended, states, errors }
}

/** A long stream whose chunks are ready at once; `pulls` counts them. */
function source(content) {
  const s = { pulls: 0 }
  s.stream = new ReadableStream(
    {
      pull(c) {
        const at = 65_536 * s.pulls++
        if (at >= content.length) c.close()
        else c.enqueue(new Uint8Array(content.subarray(at, at + 65_536)))
      },
    },
    { highWaterMark: 0 },
  )
  return s
}

/** The size of the content of each POST. */
const postsOf = (gateway) =>
  gateway.seen.posts.map(({ messages }) =>
    messages.reduce((n, message) => n + contentOf(message).length, 0),
  )

test('content is received and sent beside its message, as bytes', async (t) => {
  const content = bytes(1_000)
  let info
  const { gateway, ended } = await serving(t, (_, of) => new Response((info = of).content))
  const bodyBase64 = content.toString('base64')
  await gateway.tell({ cursor: 's1', ...request('x1', { method: 'POST', bodyBase64 }) })
  await until(() => ended.length)
  const head = { type: 'response', id: 'x1', status: 200, headers: [], contentLength: 1_000 }
  assert.deepEqual(gateway.seen.framed, [head])
  assert.ok(contentOf(gateway.seen.answers[0]).equals(content), 'it is not the same')
  assert.equal(info.content.buffer.byteLength, 1_000)
  assert.ok(!('contentLength' in info), 'contentLength is in info')
  const [{ request: came, response }] = ended
  assert.deepEqual([came.contentLength, came.content], [1_000, info.content])
  assert.ok(Buffer.from(response.content).equals(content), 'the event has other content')
})

for (const [what, refusal] of [
  ['an intermediary refuses the form', { status: 415, body: 'no' }],
  ['an intermediary changes its content', { status: 400, json: { code: 'bad_json' } }],
]) {
  test(`answers go as JSON once ${what}`, async (t) => {
    const { gateway, ended } = await serving(t, () => new Response('hi'))
    gateway.script('responses', refusal)
    for (const id of ['x1', 'x2']) {
      await gateway.tell({ cursor: id, ...request(id) })
      await until(() => ended.some((e) => e.request.id === id))
    }
    assert.deepEqual(
      ended.map((e) => e.result),
      ['accepted', 'accepted'],
    )
    assert.equal(gateway.seen.framed.length, 1, 'it is posted in the form again')
  })
}

test('messages are read however their bytes are split', async (t) => {
  const { gateway, ended } = await serving(t, (_, { content }) => new Response(content))
  const came = { x1: 'ä€\n\n{}\n', x2: '', x3: '\n', x4: undefined }
  const stream = Object.entries(came).flatMap(([id, body]) => [
    frame({ cursor: id, ...request(id, { method: 'POST', body, headers: [['A', 'ä€😀']] }) }),
    Buffer.from('\n'),
  ])
  for (const byte of Buffer.concat(stream)) {
    await new Promise((resolve) => gateway.streams[0].write(Buffer.of(byte), resolve))
  }
  await until(() => ended.length === 4)
  for (const { id, body = '' } of gateway.seen.answers) assert.equal(body, came[id] ?? '', id)
})

test('many messages in one piece are read', async (t) => {
  const { gateway, ended } = await serving(t, (_, { content }) => new Response(content))
  const ids = Array.from({ length: 20 }, (_, i) => `x${i}`)
  const stream = ids.map((id) =>
    frame({ cursor: id, ...request(id, { method: 'POST', body: id }) }),
  )
  gateway.streams[0].write(Buffer.concat(stream))
  await until(() => ended.length === 20)
  for (const { id, body } of gateway.seen.answers) assert.equal(body, id)
})

for (const [what, malformed] of [
  ['content that is longer than told', '{"type":"cancel","id":"x","contentLength":1}\nab\n'],
  ['an invalid length', '{"type":"cancel","id":"x","contentLength":-1}\n\n'],
  ['a line that is too long', 'x'.repeat(262_145)],
  ['a line that is no JSON', 'x\n'],
]) {
  test(`${what} is a poll that failed`, async (t) => {
    const { gateway, states } = await serving(t, () => new Response())
    gateway.streams[0].write(malformed)
    await until(() => states.includes('reconnecting') && states.at(-1) === 'online')
    assert.equal(gateway.seen.claims.length, 1)
  })
}

test('answers that are ready at the same time share a POST, and long content has its own', async (t) => {
  const { gateway, ended } = await serving(
    t,
    (_, { content }) => new Response(content),
    {},
    { partBytes: 100 },
  )
  const ids = ['x1', 'x2', 'x3', 'x4', 'x5']
  const body = (id) => id.repeat(id === 'x3' ? 100 : 10)
  const stream = ids.map((id) =>
    frame({ cursor: id, ...request(id, { method: 'POST', body: body(id) }) }),
  )
  gateway.streams[0].write(Buffer.concat(stream))
  await until(() => ended.length === 5)
  for (const answer of gateway.seen.answers) assert.equal(answer.body, body(answer.id))
  const groups = gateway.seen.posts.map(({ messages }) => messages.map(({ id }) => id))
  assert.deepEqual(
    groups.find((group) => group.includes('x3')),
    ['x3'],
  )
  assert.ok(groups.length < 5, `${groups.length} POSTs`)
})

test('the POSTs of a fast stream grow, with parts no larger than the gateway accepts', async (t) => {
  const all = bytes(6_000_001)
  const s = source(all)
  const { gateway, ended } = await serving(t, () => new Response(s.stream))
  hold(gateway, s)
  await gateway.tell({ cursor: 's1', ...request('x1') })
  await until(() => ended.length)
  const { answers } = gateway.seen
  assert.ok(Buffer.concat(answers.map(contentOf)).equals(all), 'it is not the same')
  assert.ok(
    answers.every((a) => contentOf(a).length <= partBytes),
    'a part is too large',
  )
  assert.deepEqual(
    answers.map((a) => [a.seq ?? 0, a.more]),
    answers.map((_, i) => [i, i < answers.length - 1 || undefined]),
  )
  assert.deepEqual(postsOf(gateway).slice(0, 4), [partBytes, 2 * partBytes, most, most])
})

test('a lost POST of parts is sent again unchanged', async (t) => {
  const all = bytes(3_000_000)
  const s = source(all)
  const { gateway, ended } = await serving(t, () => new Response(s.stream))
  hold(gateway, s, 2)
  gateway.script('responses', { drop: true })
  await gateway.tell({ cursor: 's1', ...request('x1') })
  await until(() => ended.length)
  const { posts } = gateway.seen
  assert.deepEqual(posts[3], posts[2])
  posts.splice(2, 1)
  const content = Buffer.concat(posts.flatMap(({ messages }) => messages.map(contentOf)))
  assert.ok(content.equals(all), 'it is not the same')
})

test('if an intermediary refuses large requests, a stream goes in parts, and so does the next', async (t) => {
  const all = bytes(3_000_000)
  let refused = 0
  const fetch = (url, init) => {
    if (!(init.body?.length > 400_000)) return globalThis.fetch(url, init)
    refused++
    return Promise.resolve(new Response('<h1>413</h1>', { status: 413 }))
  }
  const { gateway, ended, errors } = await serving(t, () => new Response(source(all).stream), {
    fetch,
  })
  for (const id of ['x1', 'x2']) {
    await gateway.tell({ cursor: id, ...request(id) })
    await until(() => ended.some((e) => e.request.id === id))
    const messages = gateway.seen.answers.filter((a) => a.id === id)
    assert.ok(Buffer.concat(messages.map(contentOf)).equals(all), 'it is not the same')
  }
  assert.deepEqual([refused, errors], [1, []])
})

test('an error for one of several parts is the result, and ends the stream', async (t) => {
  const s = source(bytes(3_000_000))
  const { gateway, ended } = await serving(t, () => new Response(s.stream))
  hold(gateway, s, 1)
  gateway.script('responses', results('accepted', 'late'))
  await gateway.tell({ cursor: 's1', ...request('x1') })
  await until(() => ended.length)
  assert.deepEqual([ended[0].result, gateway.seen.posts.length], ['late', 2])
})

test('a stream is read only as fast as the gateway takes it', async (t) => {
  const s = source(bytes(12_000_000))
  const { gateway, ended } = await serving(t, () => new Response(s.stream))
  let go
  hold(gateway, s)
  gateway.script('responses', () => new Promise((resolve) => (go = resolve)))
  await gateway.tell({ cursor: 's1', ...request('x1') })
  await until(() => go)
  await gateway.settled()
  // The chunks in flight, the same number that waits, and one that was pulled.
  assert.ok(s.pulls <= filled[2] + 16, `${s.pulls} chunks were read`)
  go(results(...statuses[2]))
  await until(() => ended.length)
  assert.equal(ended[0].result, 'accepted')
})
