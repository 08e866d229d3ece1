import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { stopClock } from './clock.js'
import { request, until } from './scripted-gateway.js'
import { serving } from './serving.js'
import { closing, connect, frame } from './visitor-socket.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc')

const [more, text, binary, close, ping, pong] = [0, 1, 2, 8, 9, 10]
const part = { fin: false }
const bytes = (hex) => Buffer.from(hex, 'hex')

/** Serves an echo. `events` has the events of its socket. */
async function echoing(t, options, serveOptions) {
  const events = []
  const served = await serving(
    t,
    (_, info) => {
      const socket = (served_.socket = info.upgrade(options))
      served_.signal = info.signal
      socket.onopen = () => events.push('open')
      socket.onmessage = ({ data }) => {
        events.push(typeof data === 'string' ? data : Buffer.from(data).toString('latin1'))
        socket.send(data)
      }
      socket.onerror = () => events.push('error')
      socket.onclose = ({ code, wasClean }) => events.push(`${code} ${wasClean}`)
    },
    serveOptions,
  )
  const served_ = { ...served, events }
  return served_
}

for (const [name, sent, answered] of [
  ['an empty text', [frame(text)], [[text, '']]],
  ['a text of 125 bytes', [frame(text, '*'.repeat(125))], [[text, '*'.repeat(125)]]],
  ['a text of 126 bytes', [frame(text, '*'.repeat(126))], [[text, '*'.repeat(126)]]],
  ['a text of 65535 bytes', [frame(text, '*'.repeat(65535))], [[text, '*'.repeat(65535)]]],
  ['a text of 65536 bytes', [frame(text, '*'.repeat(65536))], [[text, '*'.repeat(65536)]]],
  ['a binary message', [frame(binary, bytes('00fe80ff'))], [[binary, '\x00\xfe\x80\xff']]],
  ['an empty binary message', [frame(binary)], [[binary, '']]],
  [
    'text of every length of character',
    [frame(text, 'κόσμε 𝄞 \u0000\ufeff')],
    [[text, 'κόσμε 𝄞 \u0000\ufeff']],
  ],
  ['a mask of zeros', [frame(text, 'plain', { mask: [0, 0, 0, 0] })], [[text, 'plain']]],
  ['a ping without payload', [frame(ping)], [[pong, '']]],
  ['a ping of 125 bytes', [frame(ping, 'p'.repeat(125))], [[pong, 'p'.repeat(125)]]],
  ['a pong that nobody asked for', [frame(pong, 'x'), frame(text, 'a')], [[text, 'a']]],
  [
    'ten pings',
    Array.from({ length: 10 }, (_, i) => frame(ping, `${i}`)),
    Array.from({ length: 10 }, (_, i) => [pong, `${i}`]),
  ],
  ['two fragments', [frame(text, 'frag', part), frame(more, 'ment')], [[text, 'fragment']]],
  [
    'empty fragments',
    [frame(text, '', part), frame(more, '', part), frame(more, '')],
    [[text, '']],
  ],
  [
    'a ping between fragments',
    [
      frame(binary, 'a', part),
      frame(ping, 'now'),
      frame(more, 'b', part),
      frame(pong),
      frame(more, 'c'),
    ],
    [
      [pong, 'now'],
      [binary, 'abc'],
    ],
  ],
  [
    'a character that is cut between fragments',
    [frame(text, bytes('cebae1'), part), frame(ping), frame(more, bytes('bdb9'))],
    [
      [pong, ''],
      [text, 'κ\u1f79'],
    ],
  ],
]) {
  for (const size of [undefined, 1, 7]) {
    if (size && sent.reduce((n, f) => n + f.length, 0) > 2000) continue
    test(`${name} is echoed${size ? `, in pieces of ${size}` : ''}`, async (t) => {
      const { gateway } = await echoing(t)
      const visitor = await connect(gateway)
      await visitor.send(Buffer.concat(sent), size)
      await visitor.send(frame(close, closing(1000)))
      await visitor.ended()
      assert.deepEqual(visitor.frames(), [...answered, [close, 1000]])
    })
  }
}

for (const [name, sent, code, before = []] of [
  ['reserved bit 1', [frame(text, 'x', { rsv: 4 })], 1002],
  ['reserved bit 3 on a ping', [frame(ping, '', { rsv: 1 })], 1002],
  ['opcode 3', [frame(3, 'x')], 1002],
  ['opcode 7', [frame(7)], 1002],
  ['opcode 11', [frame(11, 'x')], 1002],
  ['opcode 15, after a good message', [frame(text, 'ok'), frame(15)], 1002, [[text, 'ok']]],
  ['no mask', [frame(text, 'x', { mask: null })], 1002],
  ['a ping of 126 bytes', [frame(ping, 'p'.repeat(126))], 1002],
  ['a ping in fragments', [frame(ping, 'a', part), frame(more, 'b')], 1002],
  ['a continuation of nothing', [frame(more, 'x')], 1002],
  ['a continuation after the end', [frame(text, 'ok'), frame(more, 'x')], 1002, [[text, 'ok']]],
  ['a message within a message', [frame(text, 'a', part), frame(text, 'b')], 1002],
  ['a length of 5 in 2 bytes', [frame(text, 'hello', { wide: 2 })], 1002],
  ['a length of 200 in 8 bytes', [frame(binary, Buffer.alloc(200), { wide: 8 })], 1002],
  ['text that is no UTF-8', [frame(text, bytes('cebae1bdb9cf83ceedee8080'))], 1007],
  ['a surrogate', [frame(text, bytes('eda080'))], 1007],
  ['an overlong form', [frame(text, bytes('c0af'))], 1007],
  ['a character above U+10FFFF', [frame(text, bytes('f4908080'))], 1007],
  ['a character that never ends', [frame(text, bytes('cebae1'))], 1007],
  [
    'bad text in a second fragment',
    [frame(text, bytes('cebae1'), part), frame(more, bytes('cebae1'))],
    1007,
  ],
  ['a close of one byte', [frame(close, 'x')], 1002],
  [
    'a reason that is no UTF-8',
    [frame(close, Buffer.concat([closing(1000), bytes('cebae1bdb9cf83ceedee8080')]))],
    1007,
  ],
  ['a close of 126 bytes', [frame(close, closing(1000, 'r'.repeat(124)))], 1002],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((bad) => [
    `the close code ${bad}`,
    [frame(close, closing(bad))],
    1002,
  ]),
  ['a message beyond the bound', [frame(binary, Buffer.alloc(1001))], 1009],
  [
    'fragments beyond the bound',
    [frame(binary, Buffer.alloc(600), part), frame(more, Buffer.alloc(600))],
    1009,
  ],
  ['a length of 2^62', [frame(binary, '', { length: 2n ** 62n, wide: 8 })], 1009],
]) {
  test(`${name} closes with ${code}, and later frames are ignored`, async (t) => {
    const served = await echoing(t, { messageBytes: 1000 })
    const { gateway, events } = served
    const visitor = await connect(gateway)
    await visitor.send(Buffer.concat([...sent, frame(text, 'too late')]))
    await visitor.ended()
    assert.deepEqual(visitor.frames(), [...before, [close, code]])
    await until(() => events.includes(`${code} false`), 'the close event')
    assert.deepEqual(events, ['open', ...before.map((f) => f[1]), 'error', `${code} false`])
    assert.equal(served.signal.aborted, false)
  })
}

test('invalid text is refused before the end of its message', async (t) => {
  const { gateway } = await echoing(t)
  const visitor = await connect(gateway)
  await visitor.send(frame(text, bytes('cebaff41'), { length: 100 }))
  await visitor.ended()
  assert.deepEqual(visitor.frames(), [[close, 1007]])
})

for (const code of [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4999]) {
  test(`the visitor's close with ${code} is answered with it`, async (t) => {
    const { gateway, events } = await echoing(t)
    const visitor = await connect(gateway)
    await visitor.send(frame(close, closing(code, 'r'.repeat(123))))
    await visitor.ended()
    assert.deepEqual(visitor.frames(), [[close, code]])
    await until(() => events.length === 2)
    assert.deepEqual(events, ['open', `${code} true`])
  })
}

test('a close without a code is answered without one, and is 1005', async (t) => {
  const { gateway, events } = await echoing(t)
  const visitor = await connect(gateway)
  await visitor.send(Buffer.concat([frame(close), frame(text, 'ignored'), frame(ping)]))
  await visitor.ended()
  assert.deepEqual(visitor.frames(), [[close, 1005]])
  await until(() => events.length === 2)
  assert.deepEqual(events, ['open', '1005 true'])
})

test('a socket has the properties and events of a WebSocket', async (t) => {
  const served = await echoing(t, { protocol: 'chat' })
  const visitor = await connect(served.gateway, 'x1', {
    headers: [['Sec-WebSocket-Protocol', 'mail, chat']],
    target: '/a?b',
  })
  await until(() => served.events.includes('open'))
  const { socket } = served
  assert.deepEqual(
    [
      socket.readyState,
      socket.OPEN,
      socket.protocol,
      socket.url,
      socket.extensions,
      socket.binaryType,
    ],
    [1, 1, 'chat', 'ws://demo.localhost:8080/a?b', '', 'arraybuffer'],
  )
  assert.deepEqual(visitor.messages()[0], {
    type: 'response',
    id: 'x1',
    status: 101,
    headers: [['sec-websocket-protocol', 'chat']],
    more: true,
  })
  await until(() => served.gateway.seen.contents.length)
  assert.equal(served.gateway.seen.contents[0], 'Bearer t0')
  socket.close(4000, 'enough')
  assert.equal(socket.readyState, 2)
  socket.send('after the end')
  await until(() => visitor.frames().length)
  assert.deepEqual(visitor.frames(), [[close, 4000]])
  assert.ok(!served.events.includes('4000 true'), 'the visitor has not said so')
  await visitor.send(Buffer.concat([frame(text, 'late'), frame(close, closing(4000))]))
  await visitor.ended()
  await until(() => served.events.includes('4000 true'))
  assert.deepEqual(served.events, ['open', '4000 true'])
  assert.equal(socket.readyState, 3)
})

test('a protocol that the visitor does not offer is refused, and so are invalid arguments of close', async (t) => {
  const faults = []
  const attempt = (what) => {
    try {
      what()
    } catch (e) {
      faults.push(e.name)
    }
  }
  const { gateway } = await serving(t, (_, info) => {
    attempt(() => info.upgrade({ protocol: 'chat' }))
    const socket = info.upgrade()
    attempt(() => info.upgrade())
    attempt(() => socket.close(999))
    attempt(() => socket.close(1006))
    attempt(() => socket.close(1000, 'ä'.repeat(62)))
    socket.close(1000)
  })
  const visitor = await connect(gateway)
  await until(() => visitor.frames().length)
  assert.deepEqual(faults, [
    'SyntaxError',
    'InvalidStateError',
    'InvalidAccessError',
    'InvalidAccessError',
    'SyntaxError',
  ])
})

test('strings, buffers, views and Blobs are sent in order, and are in bufferedAmount until they are sent', async (t) => {
  let socket
  const { gateway } = await serving(t, (_, info) => void (socket = info.upgrade()))
  let taken
  gateway.script('responses', {}, () => new Promise((resolve) => (taken = resolve)))
  const visitor = await connect(gateway)
  await until(() => socket?.readyState === 1)
  socket.send('first')
  await until(() => taken)
  const view = Uint8Array.of(0, 1, 2, 3).subarray(1, 3)
  socket.send(new Blob(['blob']))
  socket.send(view)
  view.fill(9)
  socket.send(Uint8Array.of(255).buffer)
  socket.send('€')
  assert.equal(socket.bufferedAmount, 5 + 4 + 2 + 1 + 3)
  taken({ status: 202, json: { results: [{ id: 'x1', status: 'accepted' }] } })
  await until(() => visitor.frames().length === 5)
  assert.deepEqual(visitor.frames(), [
    [text, 'first'],
    [binary, 'blob'],
    [binary, '\x01\x02'],
    [binary, '\xff'],
    [text, '€'],
  ])
  await until(() => socket.bufferedAmount === 0)
  const sizes = visitor.messages().slice(1).length
  assert.equal(sizes, 2, 'what is sent while a part is on its way goes together')
})

test('a message larger than a part goes in several', async (t) => {
  const { gateway } = await echoing(t)
  const visitor = await connect(gateway)
  const large = 'x'.repeat(700_000)
  await visitor.send(frame(text, large))
  await until(() => visitor.frames().length)
  assert.equal(visitor.frames()[0][1], large)
  for (const { body = '' } of visitor.messages()) assert.ok(body.length <= 262_144)
})

test('a message in fragments of one byte takes no more memory than its bytes', async (t) => {
  let socket, got
  const { gateway } = await serving(t, (_, info) => {
    socket = info.upgrade()
    socket.onmessage = ({ data }) => (got = data)
  })
  const visitor = await connect(gateway)
  await until(() => socket?.readyState === 1)
  gc()
  const before = process.memoryUsage()
  const n = 1 << 20
  const one = frame(more, 'x', { fin: false })
  const some = Buffer.concat(Array.from({ length: 1 << 12 }, () => one))
  await visitor.send(frame(binary, '', { fin: false }))
  for (let i = 0; i < n; i += 1 << 12) await visitor.send(some)
  // The answer comes after everything before it was read.
  await visitor.send(frame(ping, 'read'))
  await until(() => visitor.frames().some(([, payload]) => payload === 'read'))
  gc()
  const after = process.memoryUsage()
  const grown = after.heapUsed + after.external - before.heapUsed - before.external
  await visitor.send(frame(more, ''))
  await until(() => got)
  assert.equal(got.byteLength, n)
  assert.ok(grown < 20 * n, `${grown / n} bytes a byte`)
})

test('messages are Blobs if binaryType says so', async (t) => {
  let data
  const { gateway } = await serving(t, (_, info) => {
    const socket = info.upgrade()
    socket.binaryType = 'blob'
    socket.addEventListener('message', (e) => (data = e.data))
  })
  const visitor = await connect(gateway)
  await visitor.send(frame(binary, 'abc'))
  await until(() => data)
  assert.equal(await data.text(), 'abc')
})

for (const [what, leave] of [
  ['ends', (v) => v.end()],
  ['is cut', (v) => v.cut()],
]) {
  test(`content that ${what} without a Close frame is 1006, aborts the signal and ends the connection`, async (t) => {
    const served = await echoing(t)
    const visitor = await connect(served.gateway)
    await until(() => served.events.includes('open'))
    await leave(visitor)
    await visitor.ended()
    await until(() => served.signal.aborted)
    assert.deepEqual(served.events, ['open', 'error', '1006 false'])
    assert.deepEqual(visitor.frames(), [])
  })
}

test('a cancelled exchange is 1006 and aborts the signal', async (t) => {
  const served = await echoing(t)
  await connect(served.gateway)
  await until(() => served.events.includes('open'))
  await served.gateway.deliver({ type: 'cancel', id: 'x1', reason: 'visitor_gone' })
  await until(() => served.events.length > 1)
  assert.deepEqual(served.events, ['open', 'error', '1006 false'])
  assert.ok(served.signal.aborted)
})

test('a 101 that is refused closes the socket, and the visitor gets 500', async (t) => {
  const served = await echoing(t, {}, { logger: null })
  served.gateway.script('responses', ({ messages }) => ({
    status: 202,
    json: {
      results: messages.map(({ id }) => ({
        id,
        status: 'invalid',
        detail: 'no',
        pointer: '/status',
      })),
    },
  }))
  const visitor = await connect(served.gateway)
  await until(() => visitor.messages().length === 2)
  assert.equal(visitor.messages()[1].status, 500)
  await until(() => served.events.length === 2)
  assert.deepEqual(served.events, ['error', '1006 false'])
})

test('closing the claim closes sockets with 1001 and waits for their visitors', async (t) => {
  const served = await echoing(t, {}, { drainMs: 10_000 })
  const visitor = await connect(served.gateway)
  await until(() => served.events.includes('open'))
  const closed = served.claim.close()
  await until(() => visitor.frames().length)
  assert.deepEqual(visitor.frames(), [[close, 1001]])
  assert.equal(served.gateway.seen.sessions.length, 0, 'the session is there until they are closed')
  await visitor.send(frame(close, closing(1001)))
  await closed
  assert.deepEqual(served.events, ['open', '1001 true'])
  assert.equal(served.gateway.seen.sessions.length, 1)
})

test('a gateway that stops closes sockets with 1001, and the handler is not cancelled', async (t) => {
  const served = await echoing(t)
  const visitor = await connect(served.gateway)
  await until(() => served.events.includes('open'))
  await served.gateway.deliver({ type: 'cancel', id: 'x1', reason: 'draining' })
  await until(() => visitor.frames().length)
  assert.deepEqual(visitor.frames(), [[close, 1001]])
  await visitor.send(frame(close, closing(1001)))
  await visitor.ended()
  await until(() => served.events.length === 2)
  assert.deepEqual(served.events, ['open', '1001 true'])
  assert.equal(served.signal.aborted, false)
})

test('a handler that does not upgrade answers as usual, and cannot upgrade later', async (t) => {
  let info
  const { gateway } = await serving(t, (_, i) => {
    info = i
    return new Response('no sockets here', { status: 403 })
  })
  const visitor = await connect(gateway)
  await until(() => visitor.messages().length)
  assert.deepEqual(
    [visitor.messages()[0].status, visitor.messages()[0].body],
    [403, 'no sockets here'],
  )
  assert.throws(() => info.upgrade(), { name: 'InvalidStateError' })
})

test('a request without Upgrade has no info.upgrade', async (t) => {
  let has
  const { exchange } = await serving(t, (_, info) => {
    has = 'upgrade' in info
    return new Response()
  })
  await exchange({})
  assert.equal(has, false)
})

test('a Response after an upgrade is ignored, and a failure closes with 1011', async (t) => {
  const errors = []
  const events = []
  const { gateway, claim } = await serving(t, async (request, info) => {
    const socket = info.upgrade()
    await new Promise((resolve) => (socket.onopen = resolve))
    socket.onclose = ({ code }) => events.push(code)
    if (request.url.endsWith('/fails')) throw new Error('out of order')
    return new Response('ignored')
  })
  claim.addEventListener('error', (e) => errors.push(e.message))
  const good = await connect(gateway, 'x1')
  await good.send(frame(close, closing(1000)))
  await good.ended()
  assert.deepEqual(good.frames(), [[close, 1000]])
  const bad = await connect(gateway, 'x2', { target: '/fails' })
  await until(() => bad.messages().some((m) => m.type === 'abort'))
  assert.deepEqual(bad.frames(), [[close, 1011]])
  assert.deepEqual([errors, events], [['GET /fails: out of order'], [1000, 1011]])
})

test('a socket may last longer than the timeout of the exchange', async (t) => {
  const clock = stopClock(t)
  const { gateway, events } = await echoing(t)
  // Less than the time after which a silent visitor gets a ping.
  const visitor = await connect(gateway, 'x1', { timeoutMs: 19_000 })
  await until(() => events.includes('open'))
  await visitor.asked() // within the time for a pong
  await gateway.settled()
  clock.tick(19_000)
  await gateway.settled()
  await visitor.send(frame(text, 'still here'))
  await until(() => visitor.frames().length)
  assert.deepEqual(visitor.frames(), [[text, 'still here']])
})

test('a silent visitor gets a ping, and counts as gone without an answer', async (t) => {
  const served = await echoing(t)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const visitor = await connectNow(served.gateway, t)
  await turn(() => served.events.includes('open'))
  t.mock.timers.tick(20_000)
  await turn(() => visitor.frames().length === 1)
  assert.deepEqual(visitor.frames(), [[ping, '']])
  t.mock.timers.tick(20_000)
  await turn(() => visitor.frames().length === 2)
  t.mock.timers.tick(20_000)
  await turn(() => served.events.includes('1006 false'))
  t.mock.timers.reset()
})

test('the answer to a Close frame counts if it arrived while the program stood still', async (t) => {
  const served = await echoing(t)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const visitor = await connectNow(served.gateway, t)
  await turn(() => served.events.includes('open'))
  served.socket.send('bye')
  served.socket.close(4000)
  await turn(() => served.socket.bufferedAmount === 0)
  const now = performance.now.bind(performance)
  t.mock.method(performance, 'now', () => now() + 60_000)
  t.mock.timers.tick(5_000)
  await visitor.send(frame(close, closing(4000)))
  await turn(() => served.events.length === 2)
  assert.deepEqual(served.events, ['open', '4000 true'])
  t.mock.timers.reset()
})

/** Like connect and until, without timers of their own. */
async function connectNow(gateway) {
  await turn(() => gateway.parked)
  return connect(gateway)
}

async function turn(so) {
  for (let n = 0; !so() && n < 100_000; n++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(so(), `${so}`)
}

test('a claim keeps no reference to a closed socket', async (t) => {
  const signals = new Set()
  AbortSignal.prototype.addEventListener = function (...of) {
    signals.add(this)
    return EventTarget.prototype.addEventListener.apply(this, of)
  }
  t.after(() => delete AbortSignal.prototype.addEventListener)
  const { gateway, claim } = await serving(t, (_, info) => void info.upgrade())
  let ended = 0
  claim.addEventListener('exchange', () => ended++)
  const counts = () => [...signals].map((s) => getEventListeners(s, 'abort').length)
  let first
  for (const id of ['x1', 'x2', 'x3']) {
    const visitor = await connect(gateway, id)
    await visitor.send(frame(close, closing(1000)))
    await until(() => ended === +id[1])
    first ??= counts()
  }
  const grown = counts().filter((n, i) => n > first[i])
  assert.deepEqual(grown, [])
})

test('a close ends even if the visitor does not read it', async (t) => {
  const events = []
  let socket
  const { gateway } = await serving(t, (_, info) => {
    socket = info.upgrade()
    socket.onclose = ({ code }) => events.push(code)
  })
  gateway.script('responses', {}, ...Array(50).fill({ silent: true }))
  t.mock.timers.enable({ apis: ['setTimeout'] })
  try {
    await turn(() => gateway.parked)
    await connect(gateway)
    await turn(() => socket?.readyState === 1)
    socket.close(1000)
    await turn(() => gateway.seen.answers.length === 2)
    for (let n = 0; n < 20; n++) {
      t.mock.timers.tick(5_000)
      await new Promise((r) => setImmediate(r))
    }
    await turn(() => events.length)
  } finally {
    t.mock.timers.reset()
  }
})

test('a visitor who only pings gets no more pongs than they read', async (t) => {
  let socket
  let read = false
  const { gateway } = await serving(t, (_, info) => {
    socket = info.upgrade()
    socket.onmessage = () => (read = true)
  })
  let taken
  gateway.script('responses', {}, () => new Promise((resolve) => (taken = resolve)))
  const visitor = await connect(gateway)
  await until(() => socket?.readyState === 1)
  await visitor.send(Buffer.concat(Array.from({ length: 10_000 }, (_, i) => frame(ping, `${i}`))))
  await visitor.send(frame(text, 'x'))
  await until(() => taken && read)
  taken({ status: 202, json: { results: [{ id: 'x1', status: 'accepted' }] } })
  await until(() => visitor.frames().some(([, p]) => p === '9999'))
  assert.ok(visitor.frames().length < 200, `${visitor.frames().length}`)
})

test('a visitor who reads a long message slowly does not count as gone', async (t) => {
  let socket
  const events = []
  const { gateway } = await serving(t, (_, info) => {
    socket = info.upgrade()
    socket.onclose = ({ code }) => events.push(code)
  })
  const takes = []
  gateway.script(
    'responses',
    {},
    ...Array.from({ length: 10 }, () => () => new Promise((resolve) => takes.push(resolve))),
  )
  t.mock.timers.enable({ apis: ['setTimeout'] })
  try {
    await turn(() => gateway.parked)
    await connect(gateway)
    await turn(() => socket?.readyState === 1)
    socket.send(new Uint8Array(2_000_000))
    for (let n = 0; n < 6; n++) {
      await turn(() => takes.length > n)
      t.mock.timers.tick(15_000)
      takes[n]({ status: 202, json: { results: [{ id: 'x1', status: 'accepted' }] } })
    }
    await turn(() => takes.length > 6 || events.length)
    assert.deepEqual(events, [])
  } finally {
    t.mock.timers.reset()
  }
})

test('a handler may ignore a request to upgrade', async (t) => {
  const { gateway } = await serving(t, () => new Response())
  await gateway.deliver(request('x1', { upgrade: 'websocket', bodyUrl: '{origin}/content' }))
  await until(() => gateway.seen.answers.length)
  assert.equal(gateway.seen.contents.length, 0)
})
