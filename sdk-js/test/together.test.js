// Without a link, small parts of streamed answers of many exchanges share a POST.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stopClock } from './clock.js'
import { linked } from './link-gateway.js'
import { request, until } from './scripted-gateway.js'

/** Serves streams that a test writes chunk by chunk; the answer of each has begun. The clock of the SDK stands still. */
async function streaming(t, ...ids) {
  const clock = stopClock(t)
  const streams = new Map()
  const content = (id) => new ReadableStream({ start: (c) => void streams.set(id, c) })
  const handler = (_, { id }) => new Response(content(id))
  const served = await linked(t, handler, { link: false })
  const { gateway } = served
  await until(() => gateway.streams.length)
  const give = (id, text) => streams.get(id).enqueue(Buffer.from(text))
  const of = (id) => gateway.seen.answers.filter((m) => m.id === id)
  for (const id of ids) {
    await gateway.tell(request(id))
    await until(() => streams.has(id))
    give(id, 'first')
    // The SDK waits a little before it streams, because an answer that ends soon is sent whole.
    await gateway.settled()
    clock.tick(20)
    await until(() => of(id).length)
  }
  await gateway.settled()
  return { ...served, clock, give, of, end: (id) => streams.get(id).close() }
}

test('small parts that wait during a POST share the next one', async (t) => {
  const { gateway, give, end, ended } = await streaming(t, 'a', 'b', 'c', 'd')
  const bodies = () => gateway.seen.answers.map((m) => m.body)
  // Two POSTs are in flight, and the gateway holds their answers back until the other parts wait.
  let go
  const held = new Promise((resolve) => (go = resolve))
  const hold = async (json) => {
    await held
    return {
      status: 202,
      json: { results: json.messages.map(({ id }) => ({ id, status: 'accepted' })) },
    }
  }
  gateway.script('responses', hold, hold)
  give('a', 'one')
  await until(() => bodies().includes('one'))
  give('b', 'two')
  await until(() => bodies().includes('two'))
  give('c', 'three')
  give('d', 'four')
  await gateway.settled()
  assert.ok(!bodies().includes('three'))
  go()
  await until(() => bodies().includes('four'))
  const last = gateway.seen.posts.at(-1).messages
  assert.deepEqual(
    last.map((m) => [m.type, m.id, m.seq, m.body]),
    [
      ['part', 'c', 1, 'three'],
      ['part', 'd', 1, 'four'],
    ],
  )
  for (const id of ['a', 'b', 'c', 'd']) end(id)
  await until(() => ended.length === 4)
  assert.deepEqual(
    ended.map((e) => e.result),
    ['accepted', 'accepted', 'accepted', 'accepted'],
  )
})

test('if a POST is answered late, each part has its own POST, so that none is delayed', async (t) => {
  const { gateway, clock, give, of, end, ended } = await streaming(t, 'a', 'b')
  // The visitor of a reads nothing, so every POST with a part of it gets no answer.
  const held = []
  const judge = (json, res) => {
    if (json.messages.some((m) => m.id === 'a')) return (held.push(res), { silent: true })
    const results = json.messages.map(({ id }) => ({ id, status: 'duplicate' }))
    return { status: 202, json: { results } }
  }
  gateway.script('responses', ...Array.from({ length: 8 }, () => judge))
  give('a', 'slow')
  give('b', 'quick')
  await until(() => held.length)
  await gateway.settled()
  clock.tick(200)
  await gateway.settled()
  clock.tick(200)
  await until(() => of('b').length > 2)
  give('b', 'next')
  await until(() => of('b').some((m) => m.body === 'next'))
  end('b')
  await until(() => ended.length)
  assert.equal(ended[0].request.id, 'b')
})
