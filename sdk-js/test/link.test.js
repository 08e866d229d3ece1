// Links (schema/README.md, 4): what they carry, and what the SDK does if they do not open, or end.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stopClock } from './clock.js'
import { linked, WebSocket } from './link-gateway.js'
import { request, until } from './scripted-gateway.js'
import { framesOf } from './visitor-socket.js'

const hello = () => new Response('hello')
const bytes = (n, byte = 97) => new Uint8Array(n).fill(byte)

/** A Response whose content a test writes chunk by chunk. */
function stream() {
  let controller
  const content = new ReadableStream({ start: (c) => (controller = c) })
  return {
    response: new Response(content),
    give: (chunk) => controller.enqueue(typeof chunk === 'number' ? bytes(chunk) : chunk),
    end: () => controller.close(),
    fail: (e) => controller.error(e),
  }
}

test('a link carries requests and answers, and there is no poll', async (t) => {
  // The link has its head start, however slow the machine is.
  stopClock(t)
  const { gateway, link, asked, ended } = await linked(t, async (r) => new Response(await r.text()))
  const l = await link()
  assert.deepEqual(l.hello, { type: 'hello', token: 't0', cursor: 'c0' })
  assert.equal(asked[0].url, '/link')
  assert.equal(asked[0].headers['sec-websocket-protocol'], 'reversehttp.1')
  const post = { method: 'POST', cursor: 'd1' }
  l.tell(request('x1', { ...post, body: 'framed' }))
  l.say(request('x2', { ...post, cursor: 'd2', body: 'text' }))
  await until(() => ended.length === 2)
  const answers = l.of('response').map(({ id, status, body }) => [id, status, body])
  assert.deepEqual(answers.sort(), [
    ['x1', 200, 'framed'],
    ['x2', 200, 'text'],
  ])
  assert.deepEqual(
    ended.map((e) => e.result),
    ['accepted', 'accepted'],
  )
  assert.deepEqual([gateway.seen.polls, gateway.seen.posts], [[], []])
})

test('answers that become ready at the same time go in one message', async (t) => {
  let start
  const started = new Promise((resolve) => (start = resolve))
  const { link, ended } = await linked(t, async () => (await started, new Response()))
  const l = await link()
  l.tell(request('x1'), request('x2'), request('x3'))
  // The program has acknowledged the requests to the gateway.
  l.say({ type: 'ping' })
  await until(() => l.of('pong').length)
  start()
  await until(() => ended.length === 3)
  assert.deepEqual(l.groups.at(-1), ['response', 'response', 'response'])
})

test('messages have at most 256 KiB, and larger ones are posted', async (t) => {
  const sizes = [150_000, 150_000, 262_144]
  let start
  const started = new Promise((resolve) => (start = resolve))
  const { gateway, link, ended } = await linked(t, async (_, { id }) => {
    await started
    return new Response(bytes(sizes[id.slice(1)]))
  })
  const l = await link()
  l.tell(request('x0'), request('x1'), request('x2'))
  l.say({ type: 'ping' })
  await until(() => l.of('pong').length)
  start()
  await until(() => ended.length === 3)
  assert.deepEqual(
    l.of('response').map((m) => m.body.length),
    [150_000, 150_000],
  )
  assert.ok(Math.max(...l.sizes) <= 262_144, l.sizes)
  assert.deepEqual(
    gateway.seen.answers.map((m) => [m.id, m.body.length]),
    [['x2', 262_144]],
  )
})

test('requests are acknowledged by a message once 1 s has passed or 64 KiB have arrived', async (t) => {
  const clock = stopClock(t)
  const { link, ended } = await linked(t, hello)
  const l = await link()
  const acks = () => l.of('ack').map((m) => m.cursor)
  const deliver = async (n, members) => {
    l.tell(request(`x${n}`, { cursor: `d${n}`, ...members }))
    await until(() => ended.length === n)
  }
  await deliver(1)
  clock.tick(1_001)
  await deliver(2)
  await until(() => acks().length)
  assert.deepEqual(acks(), ['d2'])
  await deliver(3)
  await deliver(4, { method: 'POST', body: 'a'.repeat(65_536) })
  await until(() => acks().length === 2)
  assert.deepEqual(acks(), ['d2', 'd4'])
  await deliver(5)
  l.say({ type: 'ping' })
  await until(() => l.of('pong').length)
  assert.deepEqual(l.of('pong'), [{ type: 'pong', cursor: 'd5' }])
  assert.equal(acks().length, 2)
})

test('a cancel aborts the request', async (t) => {
  let signal
  const { link } = await linked(t, (r) => new Promise(() => (signal = r.signal)))
  const l = await link()
  l.tell(request('x1'))
  await until(() => signal)
  l.tell({ type: 'cancel', id: 'x1', reason: 'visitor_gone' })
  await until(() => signal.aborted)
  assert.equal(signal.reason.message, 'visitor_gone')
})

test('a stream sends no more than the window of its exchange, which results open again', async (t) => {
  const s = stream()
  const { link, ended } = await linked(t, () => s.response, { windows: { exchangeWindow: 10 } })
  const l = await link()
  l.holds = true
  l.tell(request('x1'))
  s.give(4)
  const taken = () => l.of('response', 'part').map((m) => m.body?.length ?? 0)
  await until(() => taken().reduce((a, b) => a + b, 0) === 4)
  s.give(5)
  await until(() => taken().reduce((a, b) => a + b, 0) === 9)
  // Nothing is confirmed, so this chunk waits.
  s.give(6)
  l.say({ type: 'ping' })
  await until(() => l.of('pong').length)
  assert.equal(
    taken().reduce((a, b) => a + b, 0),
    9,
  )
  l.judge(l.of('response')[0], { status: 'accepted', exchangeWindow: 20 })
  await until(() => taken().reduce((a, b) => a + b, 0) === 15)
  s.end()
  await until(() => l.of('part').at(-1)?.more === undefined && l.of('part').length)
  for (const part of l.of('part')) l.judge(part)
  await until(() => ended.length)
  assert.equal(ended[0].result, 'accepted')
  assert.deepEqual(
    l.of('part').map((m) => m.seq),
    l.of('part').map((_, i) => i + 1),
  )
})

test('a stream uses at most as much of the link’s window as it leaves free', async (t) => {
  const s = [stream(), stream()]
  const { gateway, link } = await linked(t, (_, { id }) => s[id].response, {
    windows: { exchangeWindow: 1_000_000, linkWindow: 400_000 },
  })
  const l = await link()
  l.holds = true
  l.tell(request('0'), request('1'))
  const held = (id) =>
    l.messages.filter((m) => m.id === id).reduce((n, m) => n + (m.body?.length ?? 0), 0)
  for (let i = 0; i < 8; i++) s[0].give(65_536)
  await until(() => held('0') > 0)
  l.say({ type: 'ping' })
  await until(() => l.of('pong').length)
  assert.ok(held('0') >= 65_536 && held('0') <= 200_000, held('0'))
  s[1].give(65_536)
  await until(() => held('1') === 65_536)
  assert.deepEqual(gateway.seen.posts, [])
})

test('a whole answer that does not fit into the link’s window is posted', async (t) => {
  const { gateway, link, ended } = await linked(t, () => new Response(bytes(600)), {
    windows: { linkWindow: 1000 },
  })
  const l = await link()
  l.holds = true
  l.tell(request('x1'), request('x2'))
  await until(() => ended.length === 1)
  assert.deepEqual(
    gateway.seen.answers.map((m) => m.id),
    ['x2'],
  )
  l.judge(l.of('response')[0])
  await until(() => ended.length === 2)
})

test('messages without a result at the end of the link are posted, unchanged and in order', async (t) => {
  const s = stream()
  const { gateway, link, ended, states } = await linked(t, (_, { id }) =>
    id === 'x1' ? s.response : new Response('whole'),
  )
  const l = await link()
  l.holds = true
  l.tell(request('x1', { cursor: 'd1' }), request('x2', { cursor: 'd2' }))
  s.give(Buffer.from('one'))
  await until(() => l.of('response').length === 2 && l.messages.some((m) => m.body === 'one'))
  s.give(Buffer.from('two'))
  await until(() => l.messages.some((m) => m.body === 'two'))
  const before = l.messages.filter((m) => m.id === 'x1')
  gateway.script('responses', (json) => ({
    status: 202,
    json: { results: json.messages.map(({ id }) => ({ id, status: 'duplicate' })) },
  }))
  l.cut()
  await until(() => ended.length === 1 || gateway.seen.answers.length >= before.length + 1)
  s.give(Buffer.from('three'))
  s.end()
  await until(() => ended.length === 2)
  assert.deepEqual(
    ended.map((e) => ['accepted', 'duplicate'].includes(e.result)),
    [true, true],
  )
  const posted = gateway.seen.answers.filter((m) => m.id === 'x1')
  assert.deepEqual(posted.slice(0, before.length), before)
  assert.deepEqual(
    gateway.seen.answers.filter((m) => m.id === 'x2').map((m) => m.body),
    ['whole'],
  )
  const last = await link(2)
  assert.equal(last.hello.cursor, 'd2')
  // A link that opens early also repeats what was posted before.
  const bySeq = new Map()
  for (const m of [...posted, ...last.messages.filter((m) => m.id === 'x1')])
    bySeq.set(m.seq ?? 0, m.body ?? '')
  assert.equal([...bySeq.values()].join(''), 'onetwothree')
  await until(() => states.length === 2)
  assert.deepEqual(states, ['reconnecting', 'online'])
})

test('a refused head is reported once, and its visitor gets a 500', async (t) => {
  const s = stream()
  const { link, errors, ended } = await linked(t, () => s.response)
  const l = await link()
  l.status = ({ seq }) =>
    l.of('response').length < 2
      ? { status: 'invalid', pointer: seq ? '/type' : '/headers/0/1', detail: 'bad' }
      : { status: 'accepted' }
  l.holds = true
  l.tell(request('x1'))
  s.give(3)
  await until(() => l.messages.some((m) => m.body))
  s.give(3)
  await until(() => l.of('part').length)
  l.holds = false
  for (const m of l.of('response', 'part')) l.judge(m)
  await until(() => ended.length)
  assert.deepEqual(
    l.of('response').map((m) => m.status),
    [200, 500],
  )
  assert.deepEqual(
    errors.map((e) => [e.code, e.message]),
    [['invalid', 'GET /: bad /headers/0/1']],
  )
})

test('a handler that fails midway sends its content so far, and then an abort', async (t) => {
  const s = stream()
  const { link, errors, ended } = await linked(t, () => s.response)
  const l = await link()
  l.tell(request('x1'))
  s.give(3)
  await until(() => l.messages.some((m) => m.body))
  s.fail(new Error('as the test says'))
  await until(() => ended.length)
  assert.deepEqual(l.messages.at(-1), { type: 'abort', id: 'x1' })
  assert.equal(errors[0].code, 'handler_failed')
})

test('a gateway that is silent for 10 s counts as gone, however late the timer is', async (t) => {
  const clock = stopClock(t)
  const { gateway, link, states, ended } = await linked(t, hello)
  const l = await link()
  l.tell(request('x1', { cursor: 'd1' }))
  await until(() => ended.length)
  clock.tick(9_000)
  l.say({ type: 'ping' })
  await until(() => l.of('pong').length)
  clock.tick(1_000)
  await gateway.settled()
  assert.equal(l.closed, undefined)
  // By the clock it got something 1 s ago.
  clock.tick(60_000)
  await until(() => states.length)
  clock.tick(200)
  await until(() => gateway.seen.polls.length)
  assert.deepEqual(gateway.seen.polls, ['d1'])
  await until(() => states.length === 2)
  assert.deepEqual(states, ['reconnecting', 'online'])
})

test('after a link that worked, the next is opened within 0.2 s, each time', async (t) => {
  const clock = stopClock(t)
  t.mock.method(Math, 'random', () => 1)
  const { gateway, link, asked, states } = await linked(t, hello)
  for (const n of [1, 2, 3]) {
    const l = await link(n)
    await until(() => states.length === 2 * n - 2)
    for (const pongs of [1, 2, 3]) {
      clock.tick(4_000)
      l.say({ type: 'ping' })
      await until(() => l.of('pong').length === pongs)
    }
    l.cut()
    await until(() => states.length === 2 * n - 1)
    clock.tick(199)
    await gateway.settled()
    assert.equal(asked.length, n)
    clock.tick(1)
  }
  await link(4)
  assert.deepEqual(gateway.seen.polls, [])
})

test('if an intermediary swallows the upgrade, a poll runs beside it, and a link is tried later', async (t) => {
  const clock = stopClock(t)
  const { gateway, link, links, asked, states, ended } = await linked(t, hello, {
    upgrades: ['swallow', 'swallow'],
  })
  await until(() => asked.length)
  await gateway.settled()
  assert.deepEqual(gateway.seen.polls, [], 'it has a head start')
  clock.tick(250)
  await until(() => gateway.streams.length)
  await gateway.tell(request('x1', { cursor: 'd1' }))
  await until(() => ended.length)
  clock.tick(3_750)
  // After the end of a stream the SDK asks for another.
  gateway.streams[0].end()
  await until(() => gateway.seen.polls.length === 2)
  await until(() => gateway.streams.length)
  assert.equal(asked.length, 1)
  clock.tick(300_000)
  gateway.streams[0].end()
  await until(() => asked.length === 2)
  clock.tick(250)
  await until(() => gateway.seen.polls.length === 3)
  assert.equal(links.length, 0)
  assert.deepEqual(states, [])
  void link
})

for (const fate of ['cut', 'brief']) {
  test(`if an intermediary cuts the link at once, polls serve: ${fate}`, async (t) => {
    const { gateway, asked, ended } = await linked(t, hello, { upgrades: [fate] })
    await until(() => gateway.streams.length)
    await gateway.tell(request('x1'))
    await until(() => ended.length)
    assert.equal(asked.length, 1)
    assert.equal(gateway.seen.answers.length, 1)
  })
}

for (const [name, script] of Object.entries({
  'a gateway without links': { link: false },
  'a platform without WebSocket': { options: { WebSocket: null } },
  'a program with its own fetch and no WebSocket': {
    options: { fetch: (...of) => fetch(...of), WebSocket: undefined },
  },
  'a WebSocket that cannot be made': {
    options: {
      WebSocket: class {
        constructor() {
          throw new DOMException('a page of https:', 'SecurityError')
        }
      },
    },
  },
})) {
  test(`${name} has the stream`, async (t) => {
    const { WebSocket: platform } = globalThis
    globalThis.WebSocket = WebSocket
    t.after(() => (globalThis.WebSocket = platform))
    const { gateway, asked, ended } = await linked(t, hello, script)
    await until(() => gateway.streams.length)
    await gateway.tell(request('x1'))
    await until(() => ended.length)
    assert.deepEqual(gateway.seen.forms, ['framed'])
    assert.equal(asked.length, 0)
  })
}

test('an invalid message ends the link, and polls serve', async (t) => {
  const { gateway, link, ended } = await linked(t, hello)
  const l = await link()
  l.raw('{')
  await until(() => gateway.streams.length)
  await gateway.tell(request('x1'))
  await until(() => ended.length)
})

test('a permanent error closes the claim, with that error', async (t) => {
  const { claim, link, states } = await linked(t, hello)
  const l = await link()
  l.say({
    type: 'error',
    code: 'claim_deleted',
    status: 410,
    title: 'gone',
    detail: 'by its owner',
  })
  l.close(1008)
  await assert.rejects(claim.closed, (e) => {
    assert.deepEqual([e.code, e.status, e.detail], ['claim_deleted', 410, 'by its owner'])
    assert.ok(!e.message.includes('t0'))
    return true
  })
  assert.deepEqual(states, ['closed'])
})

test('a gateway that drains accepts answers, and the SDK claims again when the gateway asks for it', async (t) => {
  const clock = stopClock(t)
  let answer
  const { gateway, link, states, ended } = await linked(
    t,
    () => new Promise((resolve) => (answer = () => resolve(new Response('late')))),
  )
  const l = await link()
  l.tell(request('x1'))
  await until(() => answer)
  l.say({
    type: 'error',
    code: 'draining',
    status: 503,
    title: '',
    retryAfterMs: 5_000,
  })
  l.close(1012)
  await until(() => states.length)
  answer()
  await until(() => ended.length)
  assert.equal(gateway.seen.answers[0].body, 'late')
  assert.equal(gateway.seen.claims.length, 1)
  clock.tick(4_999)
  await gateway.settled()
  assert.equal(gateway.seen.claims.length, 1)
  clock.tick(201)
  await link(2)
  assert.equal(gateway.seen.claims.length, 2)
  await until(() => states.length === 2)
  assert.deepEqual(states, ['reconnecting', 'online'])
})

test('a link that another replaced is opened again, and the claim stays online', async (t) => {
  // There is no poll beside it, however slow the machine is.
  const clock = stopClock(t)
  const { link, links, asked, states } = await linked(t, hello)
  const l = await link()
  l.close(1001)
  await until(() => asked.length === 2 || clock.tick(1))
  await until(() => links[1]?.hello)
  assert.deepEqual(states, [])
})

test('closing a claim closes its link, and later requests are not handled', async (t) => {
  let handled = 0
  const { gateway, claim, link } = await linked(t, () => (handled++, new Response()))
  const l = await link()
  const closed = claim.close()
  l.tell(request('x1'))
  await closed
  await until(() => l.closed)
  assert.deepEqual([l.closed, handled, gateway.seen.sessions], [1000, 0, ['c0']])
})

test('a page that goes away closes its link, and opens another when it is shown', async (t) => {
  const page = new EventTarget()
  globalThis.addEventListener = page.addEventListener.bind(page)
  globalThis.document = new EventTarget()
  t.after(() => {
    delete globalThis.addEventListener
    delete globalThis.document
  })
  const { gateway, link, links } = await linked(t, hello)
  const first = await link()
  page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }))
  await until(() => first.closed)
  assert.equal(first.closed, 1000)
  await until(() => gateway.seen.sessions.length)
  await gateway.settled()
  assert.equal(links.length, 1)
  page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
  const second = await link(2)
  globalThis.document.dispatchEvent(new Event('freeze'))
  await until(() => second.closed)
  globalThis.document.dispatchEvent(new Event('resume'))
  await link(3)
})

test('when the network is back, the SDK tries a link at once', async (t) => {
  const page = new EventTarget()
  globalThis.addEventListener = page.addEventListener.bind(page)
  t.after(() => delete globalThis.addEventListener)
  const { gateway, link, asked } = await linked(t, hello, { upgrades: ['cut'] })
  await until(() => gateway.streams.length)
  assert.equal(asked.length, 1)
  page.dispatchEvent(new Event('online'))
  await link()
})

test('long content of known length is posted as one Blob', async (t) => {
  const { gateway, link, ended } = await linked(t, () => new Response(new Blob([bytes(300_000)])))
  const l = await link()
  l.tell(request('x1'))
  await until(() => ended.length)
  assert.deepEqual(
    gateway.seen.answers.map((m) => m.body.length),
    [300_000],
  )
  assert.deepEqual(l.of('response', 'part'), [])
})

test('frames of a WebSocket that are sent at the same time share a part, and do not wait for results', async (t) => {
  let socket
  const { gateway, link } = await linked(t, (_, info) => void (socket = info.upgrade()))
  const l = await link()
  l.holds = true
  gateway.script('content', (_, res) => {
    res.writeHead(200).flushHeaders()
    return { silent: true }
  })
  l.tell(request('x1', { upgrade: 'websocket', bodyUrl: `${gateway.origin}/content` }))
  await until(() => socket?.readyState === 1)
  const frames = () =>
    l
      .of('part')
      .map((m) =>
        framesOf(Buffer.from(m.body ?? m.bodyBase64, m.bodyBase64 && 'base64')).map(
          ([, payload]) => payload,
        ),
      )
  for (const text of ['one', 'two', 'three']) socket.send(text)
  await until(() => frames().length === 1)
  socket.send('four')
  await until(() => frames().length === 2)
  assert.deepEqual(frames(), [['one', 'two', 'three'], ['four']])
  assert.equal(socket.bufferedAmount, 15)
  l.judge(l.of('response')[0])
  l.judge(l.of('part')[0])
  await until(() => socket.bufferedAmount === 4)
  l.judge(l.of('part')[1])
  await until(() => socket.bufferedAmount === 0)
  l.holds = false
  assert.deepEqual(gateway.seen.posts, [])
})
