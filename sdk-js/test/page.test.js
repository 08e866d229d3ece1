// The life of a page, imitated by an EventTarget in place of window. e2e tests the behaviour of browsers.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { serve } from './built.js'
import { stopClock } from './clock.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

let page
beforeEach(() => {
  page = new EventTarget()
  globalThis.addEventListener = page.addEventListener.bind(page)
  globalThis.document = new EventTarget()
})
afterEach(() => {
  delete globalThis.addEventListener
  delete globalThis.document
})

const event = (type, persisted) => Object.assign(new Event(type), { persisted })

test('a page that goes away ends its session by a request that outlives it, with the cursor of the requests that it began', async (t) => {
  const calls = []
  const { gateway } = await serving(t, (url, init) => {
    if (init.method === 'DELETE') calls.push(init)
    return fetch(url, init)
  })
  await gateway.deliver(request('x1'))
  await until(() => gateway.seen.polls.length === 2 && gateway.parked)
  page.dispatchEvent(event('pagehide', false))
  assert.equal(calls.length, 1, 'sent before the event is over')
  assert.equal(calls[0].keepalive, true)
  assert.equal(calls[0].headers.Prefer, 'wait=5', 'it may be loaded again')
  await until(() => gateway.seen.sessions.length)
  assert.deepEqual(gateway.seen.sessions, ['d1'])
  await until(() => !gateway.parked)
})

for (const [type, persisted] of [
  ['pagehide', true],
  ['freeze', undefined],
]) {
  test(`a ${type} of a page that is kept lets no visitor wait for it`, async (t) => {
    const calls = []
    const { gateway } = await serving(t, (url, init) => {
      if (init.method === 'DELETE') calls.push(init)
      return fetch(url, init)
    })
    await until(() => gateway.parked)
    const target = type === 'freeze' ? document : page
    target.dispatchEvent(event(type, persisted))
    assert.deepEqual(
      calls.map(({ headers }) => headers.Prefer),
      [undefined],
    )
  })
}

test('with fetchLater the browser ends the session, unless the page does it by itself', async (t) => {
  const left = []
  globalThis.fetchLater = (url, init) => void left.push({ url, ...init })
  t.after(() => delete globalThis.fetchLater)
  const { gateway, claim } = await serving(t)
  await until(() => gateway.parked)
  const [{ url, method, headers, signal }] = left
  assert.deepEqual([left.length, method, url], [1, 'DELETE', claim.domain.session])
  assert.deepEqual(
    headers,
    { Authorization: `Bearer ${claim.token}` },
    'no cursor: it would be old',
  )
  assert.equal(signal.aborted, false)
  globalThis.document.dispatchEvent(new Event('freeze'))
  assert.equal(signal.aborted, true, 'before the event is over')
  globalThis.document.dispatchEvent(new Event('resume'))
  await until(() => gateway.parked && claim.state === 'online')
  assert.equal(left.at(-1).url, claim.domain.session)
  assert.equal(left.at(-1).signal.aborted, false)
  await claim.close()
  assert.ok(left.every(({ signal }) => signal.aborted))
})

test('a fetchLater that throws changes nothing, and with the option fetch it is not called', async (t) => {
  let asked = 0
  globalThis.fetchLater = () => {
    asked++
    throw new TypeError('not for http:')
  }
  t.after(() => delete globalThis.fetchLater)
  const { gateway, claim } = await serving(t)
  await until(() => gateway.parked)
  assert.deepEqual([asked, claim.state], [1, 'online'])
  const own = await serving(t, (url, init) => fetch(url, init))
  await until(() => own.gateway.parked)
  assert.equal(asked, 1)
})

test('a page that comes back from the cache claims again', async (t) => {
  const clock = stopClock(t)
  const { gateway, claim, states } = await serving(t)
  await until(() => gateway.parked)
  page.dispatchEvent(event('pagehide', true))
  await until(() => gateway.seen.sessions.length)
  for (let i = 0; i < 3; i++) {
    await gateway.settled()
    clock.tick(60_000)
  }
  await gateway.settled()
  assert.deepEqual(
    [gateway.seen.claims.length, claim.state],
    [1, 'reconnecting'],
    'hidden pages are silent',
  )
  page.dispatchEvent(event('pageshow', true))
  await until(() => gateway.parked)
  assert.deepEqual(gateway.seen.claims, [{}, { label: 'demo', token: 't0' }])
  assert.deepEqual(states, ['reconnecting', 'online'])
})

test('after the sleep of the machine the SDK polls at once', async (t) => {
  const clock = stopClock(t)
  let slept = 0
  const now = Date.now.bind(Date)
  t.mock.method(Date, 'now', () => now() + slept)
  const { gateway, claim } = await serving(t)
  await until(() => gateway.parked)
  // A hidden tab whose timers run once a minute did not sleep.
  slept = 60_000
  clock.tick(5_000)
  await gateway.settled()
  assert.equal(gateway.seen.polls.length, 1)
  slept += 3_600_000
  clock.tick(5_000)
  await until(() => gateway.seen.polls.length === 2)
  assert.deepEqual([gateway.seen.claims.length, claim.state], [1, 'online'])
})

test('the first pageshow of a page changes nothing', async (t) => {
  const clock = stopClock(t)
  const { gateway } = await serving(t)
  await until(() => gateway.parked)
  page.dispatchEvent(event('pageshow', false))
  await gateway.settled()
  clock.tick(1_000)
  await gateway.settled()
  assert.equal(gateway.seen.polls.length, 1)
})

for (const [name, target] of [
  ['online', () => page],
  ['resume', () => globalThis.document],
]) {
  test(`${name} makes the SDK poll at once, with the same cursor`, async (t) => {
    const { gateway, claim } = await serving(t)
    await until(() => gateway.parked)
    target().dispatchEvent(new Event(name))
    await until(() => gateway.seen.polls.length === 2)
    assert.deepEqual(gateway.seen.polls, ['c0', 'c0'])
    const polls = gateway.seen.requests.filter((r) => r.url === '/requests')
    assert.equal(polls[1].headers.prefer, 'wait=0')
    assert.equal(claim.state, 'online', 'nothing failed')
  })
}

test('a page that is frozen leaves its session at once, and claims again when it resumes', async (t) => {
  const { gateway, claim, states } = await serving(t)
  await until(() => gateway.parked)
  const { document } = globalThis
  document.dispatchEvent(new Event('freeze'))
  assert.equal(claim.state, 'reconnecting', 'before the event is over')
  await until(() => gateway.seen.sessions.length)
  document.dispatchEvent(new Event('resume'))
  await until(() => gateway.parked && claim.state === 'online')
  assert.deepEqual(gateway.seen.claims, [{}, { label: 'demo', token: 't0' }])
  assert.deepEqual(states, ['reconnecting', 'online'])
})

test('a page in the back/forward cache is also frozen, and leaves and comes back only once', async (t) => {
  const { gateway, claim, states } = await serving(t)
  await until(() => gateway.parked)
  page.dispatchEvent(event('pagehide', true))
  globalThis.document.dispatchEvent(new Event('freeze'))
  await until(() => gateway.seen.sessions.length)
  globalThis.document.dispatchEvent(new Event('resume'))
  page.dispatchEvent(event('pageshow', true))
  await until(() => gateway.parked && claim.state === 'online')
  assert.deepEqual([gateway.seen.sessions.length, gateway.seen.claims.length], [1, 2])
  assert.deepEqual(states, ['reconnecting', 'online'])
})

test('a page that goes offline is reconnecting at once, and online again with the network', async (t) => {
  let network = true
  const { gateway, claim, states } = await serving(t, (url, init) =>
    network ? fetch(url, init) : Promise.reject(new TypeError('no network')),
  )
  const errors = []
  claim.addEventListener('statechange', (e) => errors.push(e.error?.message))
  await until(() => gateway.parked)
  gateway.script('requests', { status: 204 })
  network = false
  page.dispatchEvent(new Event('offline'))
  assert.equal(claim.state, 'reconnecting', 'before the event is over')
  await until(() => !gateway.parked, 'the end of the poll')
  network = true
  page.dispatchEvent(new Event('online'))
  await until(() => claim.state === 'online')
  assert.deepEqual(states, ['reconnecting', 'online'])
  assert.deepEqual(errors, ['the browser is offline', undefined])
  assert.equal(gateway.seen.claims.length, 1, 'the session is the same')
})

test('a page that is wrongly reported offline is online again by itself', async (t) => {
  const { gateway, claim, states } = await serving(t)
  await until(() => gateway.parked)
  gateway.script('requests', { status: 204 })
  page.dispatchEvent(new Event('offline'))
  await until(() => claim.state === 'online')
  const polls = gateway.seen.requests.filter((r) => r.url === '/requests')
  assert.equal(polls[1].headers.prefer, 'wait=0', 'it asks for an answer at once')
  assert.deepEqual(states, ['reconnecting', 'online'])
})

test('answers that could not be sent offline are sent once the network is back', async (t) => {
  let network = true
  let answer
  let tries = 0
  const handler = () => new Promise((resolve) => (answer = () => resolve(new Response('late'))))
  const { gateway, claim } = await serving(
    t,
    (url, init) => {
      if (network) return fetch(url, init)
      if (url.endsWith('/responses')) tries++
      return Promise.reject(new TypeError('no network'))
    },
    handler,
  )
  // Each wait is as long as possible, so that none ends by itself.
  t.mock.method(Math, 'random', () => 1e6)
  await gateway.deliver(request('x1'))
  await until(() => answer && gateway.parked)
  gateway.script('requests', { status: 204 })
  network = false
  page.dispatchEvent(new Event('offline'))
  answer()
  await until(() => tries === 1)
  network = true
  page.dispatchEvent(new Event('online'))
  await until(() => gateway.seen.answers.length)
  assert.equal(claim.state, 'online')
})

test('online cuts the wait for a gateway short', async (t) => {
  const { gateway, claim } = await serving(t)
  await gateway.refuse(503, 'draining', { 'Retry-After': '600' })
  await until(() => claim.state === 'reconnecting')
  await gateway.settled()
  page.dispatchEvent(new Event('online'))
  await until(() => claim.state === 'online')
})

test('a closed claim no longer listens to its page', async (t) => {
  const { gateway, claim } = await serving(t)
  await claim.close()
  const requests = gateway.seen.requests.length
  page.dispatchEvent(event('pagehide', true))
  page.dispatchEvent(event('pageshow', true))
  page.dispatchEvent(new Event('online'))
  await gateway.settled()
  assert.equal(gateway.seen.requests.length, requests)
})

async function serving(t, fetch, handler = () => new Response()) {
  const gateway = await scriptedGateway()
  const claim = await serve(handler, { gateway: gateway.origin, drainMs: 0, fetch })
  const states = []
  claim.addEventListener('statechange', (e) => states.push(e.state))
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  return { gateway, claim, states }
}
