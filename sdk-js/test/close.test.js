import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './built.js'
import { stopClock } from './clock.js'
import { outputOf } from './program.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

test('close lets a running handler answer, then ends the session at its cursor', async (t) => {
  let answer
  const { gateway, claim } = await serving(t, () => new Promise((r) => (answer = r)))
  await gateway.deliver(request('x1'))
  await until(() => answer && gateway.parked)
  const closing = claim.close()
  await until(() => !gateway.parked)
  assert.notEqual(claim.state, 'closed')
  answer(new Response('in time'))
  await closing
  assert.deepEqual(
    [claim.state, gateway.seen.answers[0].body, gateway.seen.sessions],
    ['closed', 'in time', ['d1']],
  )
  assert.deepEqual(gateway.seen.polls, ['c0', 'd1'])
  await claim.closed
})

test('close waits for handlers up to its limit, and then cancels them', async (t) => {
  const clock = stopClock(t)
  let signal
  const { gateway, claim } = await serving(
    t,
    (r) => {
      signal = r.signal
      return new Promise(() => {})
    },
    { drainMs: 100 },
  )
  await gateway.deliver(request('x1'))
  await until(() => signal)
  const closing = claim.close()
  await gateway.settled()
  clock.tick(99)
  await gateway.settled()
  assert.ok(!signal.aborted)
  clock.tick(1)
  await closing
  assert.ok(signal.aborted)
  assert.deepEqual(gateway.seen.answers, [])
})

test('close may be called again, also together with closed and delete', async (t) => {
  const { gateway, claim } = await serving(t, () => new Response())
  await Promise.all([claim.close(), claim.close(), claim.closed, claim[Symbol.asyncDispose]()])
  await claim.close()
  assert.equal(gateway.seen.sessions.length, 1)
})

test('close works when the gateway is gone', async (t) => {
  const { gateway, claim } = await serving(t, () => new Response())
  await gateway.close()
  await until(() => claim.state === 'reconnecting')
  await claim.close()
  await claim.closed
  assert.equal(claim.state, 'closed')
})

test('close while the SDK claims again leaves no session behind', async (t) => {
  let reply
  const { gateway, claim } = await serving(
    t,
    () => new Response(),
    {},
    {
      claims: [{}, () => new Promise((resolve) => (reply = resolve))],
    },
  )
  await gateway.refuse(409, 'session_fenced')
  await until(() => reply)
  await claim.close()
  reply({})
  assert.equal(claim.state, 'closed')
  assert.equal(gateway.seen.polls.length, 1)
})

test('a listener may close the claim', async (t) => {
  const { gateway, claim } = await serving(t, () => new Response())
  claim.addEventListener('statechange', () => void claim.close())
  await gateway.refuse(503, 'draining', { 'Retry-After': '600' })
  await claim.closed
})

test('requests of a batch that arrives after close are not handled', async (t) => {
  const handled = []
  const { gateway, claim } = await serving(t, (_, { id }) => {
    handled.push(id)
    return new Response()
  })
  await until(() => gateway.parked)
  void claim.close()
  await claim.closed
  assert.deepEqual([handled, gateway.seen.sessions], [[], ['c0']])
})

test('a claim that is lost without listeners is not an unhandled rejection', async (t) => {
  const { gateway, claim } = await serving(t, () => new Response(), { logger: null })
  const rejections = []
  const listener = (e) => rejections.push(e)
  process.on('unhandledRejection', listener)
  t.after(() => process.off('unhandledRejection', listener))
  await gateway.refuse(410, 'claim_deleted')
  await until(() => claim.state === 'closed')
  // Node reports unhandled rejections before the next turn of the loop.
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(rejections, [])
})

// Nothing is left that keeps a process alive: no timer, no listener, no request.
test('a process ends by itself after close', async (t) => {
  const gateway = await scriptedGateway({
    requests: [
      { status: 200, json: { cursor: 'c1', messages: [request('x1'), request('hangs')] } },
    ],
  })
  t.after(() => gateway.close())
  const stdout = await outputOf(`
    const claim = await serve(
      (_, { id }) => id === 'hangs' ? new Promise(() => {}) : new Response(),
      { gateway: ${JSON.stringify(gateway.origin)}, drainMs: 50 },
    )
    await new Promise((resolve) => claim.addEventListener('exchange', resolve, { once: true }))
    await claim.close()
    console.log('closed')`)
  assert.equal(stdout, 'closed\n')
})

async function serving(t, handler, options = {}, script) {
  const gateway = await scriptedGateway(script)
  const claim = await serve(handler, { gateway: gateway.origin, ...options })
  t.after(async () => {
    await claim.close()
    await gateway.close().catch(() => {})
  })
  return { gateway, claim }
}
