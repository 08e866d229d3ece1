import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './built.js'
import { stopClock } from './clock.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

const ids = (post) => post.messages.map((m) => m.id)
const many = (n, members) => Array.from({ length: n }, (_, i) => request(`x${i}`, members))

test('answers that wait during a POST share the next one', async (t) => {
  stopClock(t)
  let first
  const held = new Promise((resolve) => (first = resolve))
  const { gateway } = await serving(t, () => new Response(), {
    responses: [() => held],
  })
  await gateway.deliver(request('a'))
  await until(() => gateway.seen.posts.length === 1)
  await gateway.deliver(request('b'), request('c'))
  await gateway.deliver(request('d'))
  await until(() => gateway.seen.polls.length === 4)
  await gateway.settled()
  first({})
  await until(() => gateway.seen.answers.length === 4)
  assert.deepEqual(gateway.seen.posts.map(ids), [['a'], ['b', 'c', 'd']])
})

test('a POST has at most as many answers as the gateway accepts', async (t) => {
  const { gateway } = await serving(t, () => new Response(), { limits: { batch: 3 } })
  await gateway.deliver(...many(8))
  await until(() => gateway.seen.answers.length === 8)
  for (const post of gateway.seen.posts) assert.ok(post.messages.length <= 3)
})

test('a POST has at most as many bytes as the gateway accepts', async (t) => {
  const answerBytes = 6000
  const { gateway } = await serving(t, () => new Response('é'.repeat(500)), {
    limits: { answerBytes },
  })
  await gateway.deliver(...many(9))
  await until(() => gateway.seen.answers.length === 9)
  for (const post of gateway.seen.posts) {
    const bytes = Buffer.byteLength(JSON.stringify(post))
    assert.ok(bytes <= answerBytes, `${bytes} bytes`)
  }
  assert.ok(gateway.seen.posts.length < 9, 'no two went together')
})

test('large answers go in several POSTs, so that none waits for many others', async (t) => {
  stopClock(t)
  let first
  const held = new Promise((resolve) => (first = resolve))
  const { gateway } = await serving(t, () => new Response('x'.repeat(200_000)), {
    responses: [() => held],
    limits: { answerBytes: 16 << 20 },
  })
  await gateway.deliver(...many(8))
  await until(() => gateway.seen.polls.length === 2 && gateway.seen.posts.length === 1)
  await gateway.settled()
  first({})
  await until(() => gateway.seen.answers.length === 8)
  for (const post of gateway.seen.posts) {
    const bytes = Buffer.byteLength(JSON.stringify(post))
    assert.ok(bytes <= 1 << 20, `${bytes} bytes`)
  }
})

test('an answer larger than the gateway accepts becomes 500 and an error', async (t) => {
  const { gateway, errors } = await serving(t, () => new Response('x'.repeat(3000)), {
    responses: [{ status: 413, json: { status: 413, code: 'content_too_large' } }],
  })
  await gateway.deliver(request('x1'))
  await until(() => gateway.seen.answers.length === 2)
  assert.equal(gateway.seen.answers[1].status, 500)
  assert.deepEqual(errors, ['invalid'])
})

test('answers that are together too large for an intermediary go one by one', async (t) => {
  stopClock(t)
  let first
  const held = new Promise((resolve) => (first = resolve))
  const { gateway, errors } = await serving(t, () => new Response('x'.repeat(3000)), {
    responses: [() => held, { status: 413, body: '<h1>413</h1>' }],
  })
  await gateway.deliver(request('a'))
  await until(() => gateway.seen.posts.length === 1)
  await gateway.deliver(request('b'), request('c'))
  await until(() => gateway.seen.polls.length === 3)
  await gateway.settled()
  first({})
  await until(() => gateway.seen.posts.length === 4)
  assert.deepEqual(gateway.seen.posts.map(ids), [['a'], ['b', 'c'], ['b'], ['c']])
  assert.deepEqual(errors, [])
})

test('a failed POST is sent again unchanged', async (t) => {
  const { gateway } = await serving(t, () => new Response('kept'), {
    responses: [{ drop: true }, { status: 500 }, { status: 429 }],
  })
  await gateway.deliver(request('x1'))
  await until(() => gateway.seen.posts.length === 4)
  for (const post of gateway.seen.posts) assert.deepEqual(post, gateway.seen.posts[0])
})

test('a POST is not repeated once all its visitors have left', async (t) => {
  const clock = stopClock(t)
  const { gateway, claim } = await serving(t, () => new Response('late'), {
    responses: Array.from({ length: 1000 }, () => ({ drop: true })),
  })
  const ended = new Promise((resolve) => claim.addEventListener('exchange', resolve))
  await gateway.deliver(request('x1', { timeoutMs: 60_000 }))
  await until(() => gateway.seen.posts.length === 1)
  await gateway.settled()
  clock.tick(200)
  await until(() => gateway.seen.posts.length === 2)
  await gateway.settled()
  clock.tick(60_000)
  assert.equal((await ended).result, undefined)
  const posts = gateway.seen.posts.length
  await gateway.settled()
  assert.equal(gateway.seen.posts.length, posts)
})

test('an answer that the gateway finds invalid becomes 500 and an error', async (t) => {
  const invalid = ({ messages: [{ id }] }) => ({
    status: 202,
    json: {
      results: [{ id, status: 'invalid', pointer: '/headers/0/1', detail: 'no field value' }],
    },
  })
  const { gateway, claim } = await serving(t, () => new Response('x', { headers: { a: '\x01' } }), {
    responses: [invalid],
  })
  const reported = new Promise((resolve) => claim.addEventListener('error', resolve))
  await gateway.deliver(request('x1'))
  await until(() => gateway.seen.answers.length === 2)
  assert.deepEqual(
    gateway.seen.answers.map((a) => a.status),
    [200, 500],
  )
  const { error, message } = await reported
  assert.equal(error.code, 'invalid')
  assert.match(message, /no field value \/headers\/0\/1/)
})

test('a field that the gateway drops from an answer is reported, and the answer is sent', async (t) => {
  const partly = ({ messages: [{ id }] }) => ({
    status: 202,
    json: {
      results: [{ id, status: 'accepted', pointer: '/headers/0/1', detail: 'cookie dropped' }],
    },
  })
  const { gateway, claim } = await serving(t, () => new Response('x'), { responses: [partly] })
  const reported = new Promise((resolve) => claim.addEventListener('error', resolve))
  const ended = new Promise((resolve) => claim.addEventListener('exchange', resolve))
  await gateway.deliver(request('x1'))
  const { error, message } = await reported
  assert.equal(error.code, 'invalid')
  assert.match(message, /cookie dropped \/headers\/0\/1/)
  assert.equal((await ended).result, 'accepted')
  assert.equal(gateway.seen.answers.length, 1)
})

test('a POST that the gateway refuses for its session makes it claim again and post there', async (t) => {
  const json = { title: '', status: 409, code: 'session_fenced', detail: '' }
  const { gateway, claim } = await serving(t, () => new Response('kept'), {
    responses: [{ status: 409, json }],
  })
  await gateway.deliver(request('x1'))
  await until(() => gateway.seen.posts.length === 2)
  assert.equal(gateway.seen.claims.length, 2)
  assert.deepEqual(gateway.seen.posts[1], gateway.seen.posts[0])
  await until(() => claim.state === 'online')
})

async function serving(t, handler, script) {
  const gateway = await scriptedGateway(script)
  const claim = await serve(handler, { gateway: gateway.origin, drainMs: 0 })
  const errors = []
  claim.addEventListener('error', (e) => errors.push(e.error.code))
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  return { gateway, claim, errors }
}
