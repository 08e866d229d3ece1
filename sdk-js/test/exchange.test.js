import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stopClock } from './clock.js'
import { request, until } from './scripted-gateway.js'
import { serving } from './serving.js'

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

test('the timeout of an exchange ends it, whatever its handler does', async (t) => {
  const clock = stopClock(t)
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
  await until(() => signals.length)
  clock.tick(99)
  assert.ok(!signals[0].aborted)
  clock.tick(1)
  assert.equal((await exchange({})).status, 200, 'its place is free again')
  assert.equal(signals[0].reason.name, 'TimeoutError')
  assert.deepEqual(
    gateway.seen.answers.map((a) => a.id),
    ['x1'],
  )
})

test('at most as many handlers run at a time as concurrency allows, and all requests are served', async (t) => {
  let running = 0
  let most = 0
  const { gateway } = await serving(
    t,
    async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      return new Response()
    },
    { concurrency: 3 },
  )
  await gateway.deliver(...Array.from({ length: 20 }, (_, i) => request(`x${i}`)))
  await until(() => gateway.seen.answers.length === 20)
  assert.equal(most, 3)
})

test('a request that is cancelled while it waits for its turn is not handled', async (t) => {
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

test('every exchange is reported, with its posted messages', async (t) => {
  const clock = stopClock(t)
  const { exchange, claim } = await serving(t, () => {
    clock.tick(1_500)
    return new Response('hi', { status: 201 })
  })
  const told = new Promise((resolve) => claim.addEventListener('exchange', resolve))
  await exchange({ target: '/told' })
  const e = await told
  assert.deepEqual(
    [e.request.target, e.response.status, `${Buffer.from(e.response.content)}`, e.result],
    ['/told', 201, 'hi', 'accepted'],
  )
  assert.equal(e.durationMs, 1_500)
})
