// Slow programs, lines and gateways do not count as dead. Tests advance the clock.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './built.js'
import { limits, request } from './scripted-gateway.js'

const json = (value, status = 200) => Response.json(value, { status })
const bytes = (text) => new TextEncoder().encode(text)

/**
 * Serves at a gateway that is nothing but a fetch: `polls` and `posts` hold what was asked, and what
 * answers it. Time passes by `pass`; by `stall`, too, but nothing of this program ran meanwhile.
 */
async function serving(t, handler, { transports = ['json'] } = {}) {
  let clockMs = performance.now()
  t.mock.method(performance, 'now', () => clockMs)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const seen = { claims: 0, polls: [], posts: [] }
  const asked = (init) =>
    new Promise((resolve, reject) => {
      const of = { init, answer: resolve }
      init.signal?.addEventListener('abort', () => {
        of.aborted = true
        reject(init.signal.reason)
      })
      if (init.method === 'GET') seen.polls.push(of)
      if (init.method === 'POST') seen.posts.push(of)
    })
  const fetch = async (url, init) => {
    const { pathname } = new URL(url)
    if (pathname.startsWith('/.well-known')) {
      return json({ version: 1, claims: 'http://gateway.test/claims', transports })
    }
    if (pathname === '/session') return new Response(null, { status: 204 })
    if (pathname !== '/claims') return asked(init)
    seen.claims++
    const url_ = (path) => `http://gateway.test/${path}`
    const urls = Object.fromEntries(
      ['claim', 'session', 'requests', 'responses'].map((name) => [name, url_(name)]),
    )
    const owned = { label: 'demo', token: 't0', url: 'http://demo.test/', cursor: 'c0' }
    return json({ ...owned, ...urls, limits: { ...limits, heartbeatSeconds: 15 } }, 201)
  }
  const claim = await serve(handler, { gateway: 'http://gateway.test', fetch, drainMs: 0 })
  const states = []
  claim.addEventListener('statechange', (e) => states.push(e.state))
  t.after(async () => {
    t.mock.timers.reset()
    await claim.close()
  })
  const tick = async (ms) => {
    t.mock.timers.tick(ms)
    await settled()
  }
  return {
    seen,
    states,
    async pass(ms) {
      clockMs += ms
      await tick(ms)
    },
    /** Advances only the clock. */
    stand: (ms) => void (clockMs += ms),
    async stall(ms) {
      clockMs += 10 * ms
      await tick(ms)
    },
    async until(so) {
      for (let n = 0; !so() && n < 1000; n++) await settled()
      assert.ok(so(), `${so}`)
    },
  }
}

const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

/** An answer that arrives piece by piece. */
function piecewise(type, status = 200) {
  let controller
  const body = new ReadableStream({ start: (c) => (controller = c) })
  const response = new Response(body, { status, headers: { 'Content-Type': type } })
  return {
    response,
    push: (text) => controller.enqueue(bytes(text)),
    end: () => controller.close(),
    fail: (e) => controller.error(e),
  }
}

/** Answers a call piece by piece; its abort fails the rest. */
function answerPiecewise(of, type) {
  const pieces = piecewise(type)
  of.init.signal.addEventListener('abort', () => pieces.fail(of.init.signal.reason))
  of.answer(pieces.response)
  return pieces
}

const batch = JSON.stringify({ cursor: 'c1', messages: [request('x1')] })

test('a batch may arrive slowly', async (t) => {
  const { seen, states, pass, until } = await serving(t, () => new Response('hello'))
  const { push, end } = answerPiecewise(seen.polls[0], 'application/json')
  await settled()
  for (const piece of batch.match(/.{1,50}/g)) {
    await pass(59_000)
    push(piece)
    await settled()
  }
  end()
  await until(() => seen.posts.length === 1)
  assert.deepEqual([seen.polls.length, states], [2, []])
})

test('a batch that stops arriving is a failed poll', async (t) => {
  const { seen, states, pass } = await serving(t, () => new Response())
  const { push } = answerPiecewise(seen.polls[0], 'application/json')
  push(batch.slice(0, 50))
  await settled()
  await pass(59_000)
  assert.deepEqual(states, [])
  await pass(1_000)
  assert.deepEqual(states, ['reconnecting'])
})

test('a large answer may take as long as a slow line needs, and is sent once', async (t) => {
  const body = 'x'.repeat(200_000)
  const { seen, states, pass, until } = await serving(t, () => new Response(body))
  seen.polls[0].answer(json({ cursor: 'c1', messages: [request('x1', { timeoutMs: 600_000 })] }))
  await until(() => seen.posts.length === 1)
  await pass(20_000)
  seen.polls[1].answer(new Response(null, { status: 204 }))
  await pass(209_000)
  assert.deepEqual([seen.posts.length, seen.posts[0].aborted], [1, undefined])
  seen.posts[0].answer(json({ results: [{ id: 'x1', status: 'accepted' }] }, 202))
  await settled()
  assert.equal(seen.posts.length, 1)
})

test('a small answer without a result in 30 s is sent again', async (t) => {
  const { seen, pass, until } = await serving(t, () => new Response('hello'))
  seen.polls[0].answer(json({ cursor: 'c1', messages: [request('x1')] }))
  await until(() => seen.posts.length === 1)
  await pass(29_000)
  assert.equal(seen.posts[0].aborted, undefined)
  await pass(1_500)
  assert.equal(seen.posts[0].aborted, true)
  await pass(200)
  await until(() => seen.posts.length === 2)
  assert.equal(seen.posts[1].init.body, seen.posts[0].init.body)
})

test('an answer that takes long to send does not delay others', async (t) => {
  const { seen, pass, until } = await serving(t, () => new Response('hello'))
  const deliver = (i, ...ids) => {
    const messages = ids.map((id) => request(id))
    seen.polls[i].answer(json({ cursor: `c${i + 1}`, messages }))
  }
  deliver(0, 'x1')
  await until(() => seen.posts.length === 1)
  deliver(1, 'x2', 'x3')
  await until(() => seen.polls.length === 3)
  await pass(3_900)
  assert.equal(seen.posts.length, 1)
  await pass(100)
  await until(() => seen.posts.length === 2)
  const ids = seen.posts.map(({ init }) => JSON.parse(init.body).messages.map(({ id }) => id))
  assert.deepEqual(ids, [['x1'], ['x2', 'x3']])
})

test('a program that is too busy for its timers still sends answers', async (t) => {
  const posted = []
  const { seen, pass, stand, until } = await serving(t, async () => {
    await new Promise((resolve) => setImmediate(resolve))
    stand(2_500)
    posted.push(seen.posts.length)
    return new Response('hello')
  })
  const ids = ['x1', 'x2', 'x3', 'x4', 'x5']
  seen.polls[0].answer(json({ cursor: 'c1', messages: ids.map((id) => request(id)) }))
  await until(() => posted.length === 5)
  assert.deepEqual(posted, [0, 1, 1, 2, 2])
  await pass(1)
})

test('an answer that was sent before a silence is sent again after it', async (t) => {
  const body = 'x'.repeat(200_000)
  const { seen, states, pass, until } = await serving(t, () => new Response(body))
  seen.polls[0].answer(json({ cursor: 'c1', messages: [request('x1', { timeoutMs: 600_000 })] }))
  await until(() => seen.posts.length === 1)
  await pass(35_000)
  assert.deepEqual([states, seen.posts[0].aborted], [['reconnecting'], undefined])
  await pass(200)
  await until(() => seen.polls.length === 3)
  seen.polls[2].answer(new Response(null, { status: 204 }))
  await until(() => seen.posts[0].aborted)
  await pass(200)
  await until(() => seen.posts.length === 2)
  assert.equal(seen.posts[1].init.body, seen.posts[0].init.body)
  seen.posts[1].answer(json({ results: [{ id: 'x1', status: 'duplicate' }] }, 202))
  await settled()
  assert.deepEqual([states, seen.posts.length], [['reconnecting', 'online'], 2])
})

test('an answer is not sent again because a poll was cut', async (t) => {
  const { seen, states, pass, until } = await serving(t, () => new Response('hello'))
  seen.polls[0].answer(json({ cursor: 'c1', messages: [request('x1')] }))
  await until(() => seen.posts.length === 1)
  seen.polls[1].answer(Promise.reject(new TypeError('the connection is gone')))
  await until(() => states.length === 1)
  await pass(200)
  await until(() => seen.polls.length === 3)
  seen.polls[2].answer(new Response(null, { status: 204 }))
  await until(() => states.length === 2)
  assert.deepEqual([seen.posts.length, seen.posts[0].aborted], [1, undefined])
})

test('an answer that arrived while the program stood still is not late', async (t) => {
  const { seen, states, pass, stall, until } = await serving(t, () => new Response('hello'))
  await stall(limits.waitSeconds * 1000 + 10_000)
  assert.deepEqual(states, [])
  seen.polls[0].answer(json({ cursor: 'c1', messages: [request('x1')] }))
  await until(() => seen.posts.length === 1)
  assert.deepEqual(states, [])
  await pass(60_000)
})

test('a poll counts as dead if nothing arrives after the program runs again', async (t) => {
  const { states, pass, stall } = await serving(t, () => new Response('hello'))
  await stall(limits.waitSeconds * 1000 + 10_000)
  await pass(1_000)
  assert.deepEqual(states, ['reconnecting'])
})

test('a program that stands still repeatedly still notices a dead poll', async (t) => {
  const { states, stall } = await serving(t, () => new Response('hello'))
  for (let i = 0; i < 4; i++) await stall(limits.waitSeconds * 1000 + 10_000)
  assert.deepEqual(states, ['reconnecting'])
})

test('a heartbeat that arrived while the program stood still is not late', async (t) => {
  const { seen, states, stall } = await serving(t, () => new Response(), {
    transports: ['json', 'ndjson'],
  })
  const { push } = answerPiecewise(seen.polls[0], 'application/x-ndjson')
  push('\n')
  await settled()
  await stall(35_000)
  push('\n')
  await settled()
  await stall(35_000)
  assert.deepEqual([seen.polls.length, states], [1, []])
})

test('a stream has 4 s to begin, and 10 s if an earlier one did begin', async (t) => {
  const { seen, states, pass, until } = await serving(t, () => new Response(), {
    transports: ['json', 'ndjson'],
  })
  const form = (i) => seen.polls[i].init.headers.Accept.split(',')[0]
  const first = answerPiecewise(seen.polls[0], 'application/x-ndjson')
  await pass(3_900)
  first.push('\n')
  await settled()
  first.end()
  await until(() => seen.polls.length === 2)
  await pass(9_900)
  assert.equal(seen.polls.length, 2)
  const second = answerPiecewise(seen.polls[1], 'application/x-ndjson')
  second.push('\n')
  await settled()
  second.end()
  await until(() => seen.polls.length === 3)
  await pass(10_000)
  await until(() => seen.polls.length === 4)
  assert.deepEqual(
    [form(1), form(2), form(3)],
    ['application/vnd.reversehttp', 'application/vnd.reversehttp', 'application/json'],
  )
  assert.deepEqual(states, [])
})
