import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stopClock } from './clock.js'
import { request, until } from './scripted-gateway.js'
import { serving } from './serving.js'

const bytes = (text) => new TextEncoder().encode(text)
const accepted = (id) => ({ status: 202, json: { results: [{ id, status: 'accepted' }] } })
const contentOf = ({ body, bodyBase64 }) =>
  Buffer.from(body ?? bodyBase64 ?? '', bodyBase64 && 'base64')
const of = (gateway, id) => gateway.seen.answers.filter((a) => a.id === id)
/** Waits for the last message of an answer, and returns all its messages. */
async function whole(gateway, id) {
  await until(() => of(gateway, id).some((a) => !a.more), `the end of ${id}`)
  return of(gateway, id)
}
/** A stream, with functions that push chunks, end it and fail it. `cancelled` has the reason. */
function source() {
  const s = { pulls: 0 }
  s.stream = new ReadableStream(
    {
      start: (controller) => void (s.controller = controller),
      pull: () => void s.pulls++,
      cancel: (reason) => void (s.cancelled = reason),
    },
    { highWaterMark: 0 },
  )
  s.push = (text) => s.controller.enqueue(bytes(text))
  return s
}

for (const [what, make, content] of [
  ['a string', () => new Response('hello'), 'hello'],
  ['bytes', () => new Response(bytes('hello')), 'hello'],
  ['a Blob', () => new Response(new Blob(['hello'])), 'hello'],
  ['JSON', () => Response.json({ a: 1 }), '{"a":1}'],
  ['250 KiB', () => new Response('x'.repeat(250 << 10)), 'x'.repeat(250 << 10)],
  [
    'a stream that is all there',
    () =>
      new Response(
        new ReadableStream({
          start(c) {
            for (const text of ['a', 'b', 'c']) c.enqueue(bytes(text))
            c.close()
          },
        }),
      ),
    'abc',
  ],
]) {
  test(`${what} is answered whole`, async (t) => {
    stopClock(t)
    const { gateway } = await serving(t, make)
    await gateway.deliver(request('x1'))
    const [answer, ...more] = await whole(gateway, 'x1')
    assert.deepEqual([answer.body, answer.more, more], [content, undefined, []])
  })
}

test('a stream without content yet begins its answer', async (t) => {
  const s = source()
  const { gateway } = await serving(t, () => new Response(s.stream, { headers: { 'X-A': '1' } }))
  await gateway.deliver(request('x1'))
  await until(() => of(gateway, 'x1').length === 1)
  assert.deepEqual(of(gateway, 'x1')[0], {
    type: 'response',
    id: 'x1',
    status: 200,
    headers: [['x-a', '1']],
    more: true,
  })
  s.controller.close()
  assert.deepEqual((await whole(gateway, 'x1'))[1], { type: 'part', id: 'x1', seq: 1 })
})

test('one part is in flight at a time, and chunks that come meanwhile share the next', async (t) => {
  const s = source()
  const { gateway } = await serving(t, () => new Response(s.stream))
  await gateway.deliver(request('x1'))
  await until(() => of(gateway, 'x1').length === 1)
  let taken
  gateway.script('responses', () => new Promise((resolve) => (taken = resolve)))
  s.push('one ')
  await until(() => taken)
  for (const text of ['two ', 'three ', 'four']) s.push(text)
  await gateway.settled()
  assert.equal(of(gateway, 'x1').length, 2, 'nothing overtakes a part that is held back')
  s.controller.close()
  taken(accepted('x1'))
  const messages = await whole(gateway, 'x1')
  assert.deepEqual(
    messages.map((m) => [m.seq, m.body, m.more]),
    [
      [undefined, undefined, true],
      [1, 'one ', true],
      [2, 'two three four', undefined],
    ],
  )
})

test('a part that the gateway holds back delays no other answer', async (t) => {
  const s = source()
  const { gateway, exchange } = await serving(t, (r) =>
    r.url.endsWith('/slow') ? new Response(s.stream) : new Response('quick'),
  )
  await gateway.deliver(request('slow', { target: '/slow' }))
  await until(() => of(gateway, 'slow').length === 1)
  let held
  gateway.script('responses', () => new Promise((resolve) => (held = resolve)))
  s.push('held back')
  await until(() => held)
  assert.equal((await exchange({})).body, 'quick')
  s.controller.close()
  held(accepted('slow'))
  await whole(gateway, 'slow')
})

test('a stream is read only as fast as the visitor takes it', async (t) => {
  const chunk = new Uint8Array(1 << 16)
  let pulls = 0
  const stream = new ReadableStream(
    { pull: (c) => (pulls++ < 1000 ? c.enqueue(chunk) : c.close()) },
    { highWaterMark: 0 },
  )
  const { gateway } = await serving(t, () => new Response(stream))
  let held
  gateway.script('responses', {}, () => new Promise((resolve) => (held = resolve)))
  await gateway.deliver(request('x1'))
  await until(() => held)
  await gateway.settled()
  // The beginning, the part that is held back, one that waits, and one chunk more for each.
  assert.ok(pulls <= 16, `${pulls} chunks were read`)
  await gateway.deliver({ type: 'cancel', id: 'x1', reason: 'visitor_gone' })
  held(accepted('x1'))
})

test('content arrives unchanged, in parts no larger than the gateway accepts', async (t) => {
  const text = 'ä€😀'.repeat(70_000)
  const binary = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 7919) >> 3))
  const { gateway } = await serving(t, (r) =>
    r.url.endsWith('/text') ? new Response(text) : new Response(new Blob([binary])),
  )
  for (const [id, target, content] of [
    ['x1', '/text', Buffer.from(text)],
    ['x2', '/binary', binary],
  ]) {
    await gateway.deliver(request(id, { target }))
    const messages = await whole(gateway, id)
    const pieces = messages.map(contentOf)
    for (const piece of pieces) assert.ok(piece.length <= 262_144, `${piece.length} bytes`)
    assert.ok(Buffer.concat(pieces).equals(content), `${id} is not the same`)
    assert.deepEqual(
      messages.slice(1).map((m) => m.seq),
      messages.slice(1).map((_, i) => i + 1),
    )
  }
})

test('a stream keeps the handler’s Content-Length', async (t) => {
  const s = source()
  const headers = { 'Content-Length': '5' }
  const { gateway } = await serving(t, () => new Response(s.stream, { headers }))
  await gateway.deliver(request('x1'))
  await until(() => of(gateway, 'x1').length === 1)
  assert.deepEqual(of(gateway, 'x1')[0].headers, [['content-length', '5']])
})

test('the answer to HEAD does not wait for the end of a stream, and cancels it', async (t) => {
  const s = source()
  const { exchange } = await serving(t, () => new Response(s.stream))
  const { more, headers } = await exchange({ method: 'HEAD' })
  assert.deepEqual([more, headers], [undefined, []])
  await until(() => 'cancelled' in s)
})

test('a stream that fails midway is an abort and an error', async (t) => {
  const s = source()
  const { gateway, claim } = await serving(t, () => new Response(s.stream))
  const errors = []
  claim.addEventListener('error', (e) => errors.push(e.error))
  await gateway.deliver(request('x1', { target: '/half' }))
  await until(() => of(gateway, 'x1').length === 1)
  s.push('half')
  s.controller.error(new Error('out of paper'))
  await until(() => of(gateway, 'x1').some((a) => a.type === 'abort'))
  assert.deepEqual(
    [errors[0].code, errors[0].message],
    ['handler_failed', 'GET /half: out of paper'],
  )
})

test('chunks that are not bytes are an error that says so', async (t) => {
  const { exchange, claim } = await serving(
    t,
    () => new Response(new ReadableStream({ start: (c) => c.enqueue('text') })),
  )
  const reported = new Promise((resolve) => claim.addEventListener('error', resolve))
  assert.equal((await exchange({})).status, 500)
  assert.match((await reported).message, /not bytes/)
})

test('closing the claim cancels streams', async (t) => {
  const s = source()
  const { gateway, claim } = await serving(t, () => new Response(s.stream))
  await gateway.deliver(request('x1'))
  await until(() => of(gateway, 'x1').length === 1)
  await claim.close()
  assert.equal(s.cancelled.name, 'AbortError')
})

test('a stream does not count as a running handler', async (t) => {
  const s = source()
  const { gateway, exchange } = await serving(
    t,
    (r) => (r.url.endsWith('/s') ? new Response(s.stream) : new Response()),
    { concurrency: 1 },
  )
  await gateway.deliver(request('stream', { target: '/s' }))
  await until(() => of(gateway, 'stream').length === 1)
  assert.equal((await exchange({})).status, 200)
})

test('a stream may last longer than the timeout of the exchange', async (t) => {
  const clock = stopClock(t)
  const s = source()
  const { gateway } = await serving(t, () => new Response(s.stream))
  await gateway.deliver(request('x1', { timeoutMs: 60_000 }))
  await until(() => s.pulls)
  clock.tick(20)
  await until(() => of(gateway, 'x1').length === 1)
  clock.tick(60_000)
  await gateway.settled()
  s.push('still here')
  s.controller.close()
  assert.equal((await whole(gateway, 'x1')).map((m) => m.body ?? '').join(''), 'still here')
})

test('content that is computed chunk by chunk does not block the event loop', async (t) => {
  let clockMs = performance.now()
  t.mock.method(performance, 'now', () => clockMs)
  let chunks = 200
  const inTurns = [0]
  const stream = new ReadableStream(
    {
      pull(c) {
        if (!chunks--) return c.close()
        inTurns[inTurns.length - 1]++
        clockMs += 10
        c.enqueue(bytes('computed'))
      },
    },
    { highWaterMark: 0 },
  )
  const { gateway } = await serving(t, () => {
    const turned = () => {
      inTurns.push(0)
      if (chunks > 0) setImmediate(turned)
    }
    turned()
    return new Response(stream)
  })
  await gateway.deliver(request('x1'))
  await whole(gateway, 'x1')
  assert.equal(
    inTurns.reduce((a, b) => a + b),
    200,
  )
  // Ten chunks take less than 100 ms, and one more is pulled ahead.
  assert.ok(Math.max(...inTurns) <= 12, `${inTurns.filter((n) => n)} chunks in each turn`)
})

test('content of many small chunks is copied a few times, not once for each', async (t) => {
  const chunk = bytes('small')
  let chunks = 20_000
  const stream = new ReadableStream(
    { pull: (c) => (chunks-- ? c.enqueue(chunk) : c.close()) },
    { highWaterMark: 0 },
  )
  let copied = 0
  const { set } = Uint8Array.prototype
  t.mock.method(Uint8Array.prototype, 'set', function (from, at) {
    copied += from.length
    return set.call(this, from, at)
  })
  const { gateway } = await serving(t, () => new Response(stream))
  await gateway.deliver(request('x1'))
  const messages = await whole(gateway, 'x1')
  assert.equal(messages.map((m) => m.body ?? '').join(''), 'small'.repeat(20_000))
  assert.ok(copied < 1_000_000, `${copied} bytes were copied of 100,000`)
})
