import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './built.js'
import { stopClock } from './clock.js'
import { limits, request, scriptedGateway, until } from './scripted-gateway.js'

test('the next poll is open before a handler has answered', async (t) => {
  const { gateway } = await serving(t, () => new Promise(() => {}))
  await gateway.deliver(request('x1'))
  await until(() => gateway.seen.polls.length === 2 && gateway.parked)
  assert.deepEqual(gateway.seen.polls, ['c0', 'd1'])
  assert.deepEqual(gateway.seen.answers, [])
})

test('a repeated id is not handled again', async (t) => {
  const handled = []
  const { gateway } = await serving(t, async (_, { id }) => {
    handled.push(id)
    return new Response()
  })
  await gateway.deliver(request('x1'), request('x1'), request('x2'))
  await until(() => gateway.seen.answers.length === 2)
  await gateway.deliver(request('x1', { attempt: 2 }), request('x3'))
  await until(() => gateway.seen.answers.length === 3)
  assert.deepEqual(handled, ['x1', 'x2', 'x3'])
})

test('an answer that a lost session could not send goes by the next session', async (t) => {
  let answer
  const { gateway, claim } = await serving(
    t,
    () => new Promise((resolve) => (answer = () => resolve(new Response('once')))),
    { responses: [unknown] },
  )
  await gateway.deliver(request('x1'))
  await until(() => answer)
  await gateway.refuse(409, 'session_fenced')
  await until(() => gateway.seen.claims.length === 2)
  answer()
  await until(() => gateway.seen.answers.length === 1)
  await gateway.deliver(request('x1', { attempt: 2 }))
  await until(() => gateway.seen.answers.length === 2)
  assert.deepEqual(
    gateway.seen.answers.map((a) => [a.id, a.body]),
    [
      ['x1', 'once'],
      ['x1', 'once'],
    ],
  )
  assert.equal(claim.state, 'online')
})

for (const [status, code] of [
  [409, 'session_fenced'],
  [404, 'no_session'],
  [410, 'lease_ended'],
  [400, 'bad_cursor'],
  [503, 'draining'],
]) {
  test(`${code} makes it claim again, with its label and token`, async (t) => {
    const { gateway, claim, states } = await serving(t, () => new Response())
    await gateway.refuse(status, code)
    await until(() => gateway.seen.polls.length === 2)
    assert.deepEqual(gateway.seen.claims, [{}, { label: 'demo', token: 't0' }])
    assert.deepEqual(gateway.seen.polls, ['c0', 'c0'])
    assert.deepEqual(states, ['reconnecting', 'online'])
    assert.equal(claim.state, 'online')
  })
}

for (const [status, code] of [
  [410, 'claim_deleted'],
  [403, 'token_wrong'],
]) {
  test(`${code} closes the claim with that error`, async (t) => {
    const { gateway, claim, states, errors } = await serving(t, () => new Response())
    await gateway.refuse(status, code)
    await assert.rejects(claim.closed, { code, status })
    assert.deepEqual(states, ['closed'])
    assert.deepEqual(errors, [code])
    assert.equal(gateway.seen.claims.length, 1)
    assert.deepEqual(gateway.seen.sessions, [], 'a session that is over needs no goodbye')
    await claim.close()
  })
}

test('the claim closes if another program has taken the label meanwhile', async (t) => {
  const json = { title: '', status: 403, code: 'label_taken', detail: '' }
  const { gateway, claim, states } = await serving(t, () => new Response(), {
    claims: [{}, { status: 403, json }],
  })
  await gateway.refuse(404, 'no_claim')
  await assert.rejects(claim.closed, { code: 'label_taken' })
  assert.deepEqual(states, ['reconnecting', 'closed'])
})

test('a refusal without a code comes from an intermediary, and the SDK continues', async (t) => {
  const { gateway, claim } = await serving(t, () => new Response(), {
    requests: [{ status: 403 }, { status: 502 }, { status: 200, json: 'welcome to this café' }],
  })
  await until(() => gateway.parked)
  assert.deepEqual(gateway.seen.polls, ['c0', 'c0', 'c0', 'c0'])
  assert.equal(gateway.seen.claims.length, 1)
  assert.notEqual(claim.state, 'closed')
})

test('a lost connection is reconnecting until the gateway answers, with the same cursor', async (t) => {
  const { gateway, claim, states } = await serving(t, () => new Response(), {
    requests: [{ drop: true }, { drop: true }, { status: 204 }],
  })
  await until(() => gateway.parked)
  assert.deepEqual(states, ['reconnecting', 'online'])
  assert.deepEqual(gateway.seen.polls, ['c0', 'c0', 'c0', 'c0'])
  const waits = gateway.seen.requests
    .filter((r) => r.url === '/requests')
    .map((r) => r.headers.prefer)
  assert.deepEqual(waits, ['wait=25', 'wait=0', 'wait=0', 'wait=25'])
  assert.equal(claim.state, 'online')
})

test('a connection that died without an error is noticed', async (t) => {
  const clock = stopClock(t)
  const polls = []
  const fetch = async (url, init) => {
    if (!url.endsWith('/requests')) return globalThis.fetch(url, init)
    polls.push(init)
    return new Promise((_, reject) =>
      init.signal.addEventListener('abort', () => reject(init.signal.reason)),
    )
  }
  const gateway = await scriptedGateway()
  const claim = await serve(() => new Response(), { gateway: gateway.origin, fetch })
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  assert.equal(polls.length, 1)
  clock.tick(limits.waitSeconds * 1000)
  await settled()
  assert.equal(claim.state, 'online')
  clock.tick(10_000)
  await settled()
  assert.equal(claim.state, 'reconnecting')
  clock.tick(200)
  await settled()
  assert.equal(polls.length, 2)
})

test('Retry-After is honoured', async (t) => {
  const clock = stopClock(t)
  const { gateway } = await serving(t, () => new Response())
  await gateway.refuse(503, 'draining', { 'Retry-After': '1' })
  await gateway.settled()
  clock.tick(999)
  await gateway.settled()
  assert.equal(gateway.seen.claims.length, 1)
  clock.tick(1 + 200) // and the largest jitter
  await until(() => gateway.seen.claims.length === 2)
})

test('a gateway that answers polls at once is not polled in a tight loop', async (t) => {
  const requests = Array.from({ length: 10_000 }, () => ({ status: 204 }))
  const clock = stopClock(t)
  const { gateway } = await serving(t, () => new Response(), { requests })
  await gateway.settled()
  assert.equal(gateway.seen.polls.length, 1, 'it waits before it asks again')
  clock.tick(200)
  await until(() => gateway.seen.polls.length === 2)
})

// A cache or a proxy that replays an answer must not become a loop.
const batch = (cursor, ...messages) => ({ status: 200, json: { cursor, messages } })
const stream = { lines: [{ cursor: 's1', ...request('x1') }], ends: true }
for (const [what, transports, reply] of [
  ['the same batch', ['json'], () => batch('d1', request('x1'))],
  ['the same with new cursors', ['json'], (i) => batch(`d${i}`, request('x1'))],
  ['the same cancellation', ['json'], () => batch('d1', { type: 'cancel', id: 'x1' })],
  ['new cursors and no messages', ['json'], (i) => batch(`d${i}`)],
  ['the same stream', ['json', 'ndjson'], () => stream],
]) {
  test(`polls that bring ${what} repeatedly are further and further apart`, async (t) => {
    const requests = Array.from({ length: 10_000 }, (_, i) => reply(i))
    const clock = stopClock(t)
    const handled = []
    const { gateway, states } = await serving(t, (_, { id }) => void handled.push(id), {
      transports,
      requests,
    })
    // After a poll with something new the next follows at once.
    const news = what !== 'new cursors and no messages' ? 1 : 0
    const { polls } = gateway.seen
    for (let round = 0; round < 12; round++) {
      await until(() => polls.length === 1 + news + round)
      await gateway.settled()
      assert.equal(polls.length, 1 + news + round, `it waits for the ${round}. time`)
      clock.tick(Math.min(200 * 2 ** round, 30_000)) // at most
    }
    await until(() => polls.length === 13 + news)
    assert.deepEqual(states, [])
    assert.deepEqual(handled, /batch|with|stream/.test(what) ? ['x1'] : [])
  })
}

test('after something new that follows a replay the next poll follows at once', async (t) => {
  const clock = stopClock(t)
  const again = batch('d1', request('x1'))
  const { gateway } = await serving(t, () => new Response(), {
    requests: [again, again, batch('d2', request('x2'))],
  })
  await until(() => gateway.seen.polls.length === 2)
  await gateway.settled()
  clock.tick(200)
  await until(() => gateway.parked)
  assert.deepEqual(gateway.seen.polls, ['c0', 'd1', 'd1', 'd2'])
})

test('an endless answer is given up', async (t) => {
  // A little longer than an answer may be, written in pieces so that this test does not hold it all.
  const piece = new Uint8Array(1 << 24).fill(32)
  let pieces = 0
  let cancelled = false
  const endless = () =>
    new Response(
      new ReadableStream({
        pull: (c) => (pieces++, c.enqueue(piece)),
        cancel: () => void (cancelled = true),
      }),
    )
  const gateway = await scriptedGateway()
  t.after(() => gateway.close())
  const refused = serve(() => new Response(), {
    gateway: gateway.origin,
    fetch: async (_, { signal }) => {
      signal.addEventListener('abort', () => (cancelled = true))
      return endless()
    },
  })
  await assert.rejects(refused, { code: 'unexpected' })
  assert.ok(cancelled)
  assert.ok(pieces <= 8, `${pieces} pieces of 16 MiB`)
})

test('unknown members are ignored and unknown messages skipped', async (t) => {
  const { gateway } = await serving(t, () => new Response())
  await gateway.deliver({ type: 'news', id: 'n' }, request('x1', { colour: 'blue' }))
  await until(() => gateway.seen.answers.length)
  assert.equal(gateway.seen.answers[0].id, 'x1')
})

const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

const unknown = ({ messages }) => ({
  status: 202,
  json: { results: messages.map(({ id }) => ({ id, status: 'unknown' })) },
})

async function serving(t, handler, script, options) {
  const gateway = await scriptedGateway(script)
  const claim = await serve(handler, { gateway: gateway.origin, drainMs: 0, ...options })
  const states = []
  const errors = []
  claim.addEventListener('statechange', (e) => states.push(e.state))
  claim.addEventListener('error', (e) => errors.push(e.error.code))
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  return { gateway, claim, states, errors }
}
