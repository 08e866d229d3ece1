// The windows of links (schema/README.md, 4): how much of them streams use, and what is posted if there is no room left.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linked } from './link-gateway.js'
import { request, until } from './scripted-gateway.js'

const bytes = (n) => new Uint8Array(n).fill(97)
const length = (messages) => messages.reduce((n, m) => n + (m.body?.length ?? 0), 0)

/** Serves streams that a test fills, by their ids. The gateway confirms nothing until the test does. */
async function streaming(t, windows) {
  const streams = {}
  const served = await linked(
    t,
    (_, { id }) => {
      if (id.startsWith('whole')) return new Response(bytes(100_000))
      const content = new ReadableStream({ start: (c) => (streams[id] = c) })
      return new Response(content)
    },
    { windows },
  )
  const l = await served.link()
  l.holds = true
  return {
    ...served,
    l,
    of: (id) => l.messages.filter((m) => m.id === id),
    posted: (id) => served.gateway.seen.answers.filter((m) => m.id === id),
    /** Begins a stream. */
    async begin(id) {
      l.tell(request(id))
      await until(() => streams[id])
      return {
        give: (n) => streams[id].enqueue(bytes(n)),
        end: () => streams[id].close(),
      }
    },
    /** Waits until the program has read everything that was sent to it. */
    async heard() {
      const n = l.of('pong').length
      l.say({ type: 'ping' })
      await until(() => l.of('pong').length > n)
    },
  }
}

test('a stream without room in the window is posted, and uses the link again afterwards', async (t) => {
  const { l, of, posted, begin, ended } = await streaming(t, { linkWindow: 100_000 })
  const stalled = await begin('stalled')
  stalled.give(65_536)
  await until(() => length(of('stalled')) === 65_536)
  const other = await begin('other')
  other.give(65_536)
  await until(() => length(posted('other')) === 65_536)
  assert.deepEqual(
    posted('other').map((m) => [m.type, m.more]),
    [['response', true]],
  )
  other.give(10)
  await until(() => length(of('other')) === 10)
  assert.deepEqual(
    of('other').map((m) => [m.type, m.seq]),
    [['part', 1]],
  )
  l.judge(of('other')[0])
  other.end()
  await until(() => of('other').length === 2)
  l.judge(of('other')[1])
  await until(() => ended.length)
  assert.deepEqual([ended[0].request.id, ended[0].result], ['other', 'accepted'])
})

test('a chunk larger than the window of its exchange goes in parts of that size', async (t) => {
  const { l, of, posted, begin, ended } = await streaming(t, { exchangeWindow: 10 })
  const s = await begin('x1')
  s.give(25)
  await until(() => length(of('x1')) === 10)
  l.holds = false
  for (const m of of('x1')) l.judge(m)
  await until(() => length(of('x1')) === 25)
  s.end()
  await until(() => ended.length)
  assert.equal(ended[0].result, 'accepted')
  assert.deepEqual(posted('x1'), [])
})

test('streams leave a quarter of the link’s window to whole answers', async (t) => {
  const { l, of, posted, begin, heard, ended } = await streaming(t, {
    exchangeWindow: 200_000,
    linkWindow: 400_000,
  })
  const ids = ['0', '1', '2', '3', '4']
  for (const id of ids) {
    const s = await begin(id)
    for (let i = 0; i < 3; i++) s.give(60_000)
    await until(() => length(of(id)) || length(posted(id)))
  }
  await heard()
  const held = ids.reduce((n, id) => n + length(of(id)), 0)
  assert.ok(held > 200_000 && held <= 300_000, held)
  l.tell(request('whole'))
  await until(() => of('whole').length)
  l.judge(of('whole')[0])
  await until(() => ended.length)
  assert.deepEqual(posted('whole'), [])
})

test('at most 4,096 messages of a stream are unconfirmed', async (t) => {
  const { l, of, begin, heard, ended } = await streaming(t)
  const s = await begin('x1')
  s.give(1)
  await until(() => of('x1').length)
  let given = 1
  // Chunks that arrive while a message is written are joined in the next one, so the test waits after each.
  const sent = () => l.messages.reduce((n, m) => n + (m.id === 'x1' ? m.body.length : 0), 0)
  for (; given < 5_000; given++) {
    s.give(1)
    while (given < 4_096 && sent() <= given) await new Promise(setImmediate)
  }
  await heard()
  assert.equal(of('x1').length, 4_096)
  l.holds = false
  for (const m of of('x1')) l.judge(m)
  s.end()
  await until(() => ended.length)
  assert.deepEqual([ended[0].result, length(of('x1'))], ['accepted', given])
})
