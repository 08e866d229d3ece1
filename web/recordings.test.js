import { afterEach, test } from 'node:test'
import assert from 'node:assert/strict'
import { recordingOf, Refused, replay, search, watch } from './pages/recordings.js'

const at = { exchanges: 'http://gw/claims/a/exchanges', token: 'secret' }
const realFetch = globalThis.fetch
afterEach(() => (globalThis.fetch = realFetch))

/** Answers requests one after another with contents or, for numbers, with problems. */
function answer(...answers) {
  const asked = []
  globalThis.fetch = async (url, init = {}) => {
    asked.push({ url, ...init })
    const next = answers.shift()
    if (typeof next === 'function') return next(init)
    if (typeof next === 'number') return Response.json({ detail: 'why' }, { status: next })
    return Response.json(next)
  }
  return asked
}

test('a watch lists all, and then waits for what changes', async () => {
  const stop = new AbortController()
  const seen = []
  const asked = answer(
    { exchanges: [{ id: 'b' }, { id: 'a' }], change: '2' },
    { exchanges: [{ id: 'c' }], change: '3', cleared: true },
    () => {
      stop.abort()
      throw stop.signal.reason
    },
  )
  await watch(
    { ...at, signal: stop.signal },
    ({ id }) => seen.push(id),
    () => seen.push('cleared'),
  )
  assert.deepEqual(seen, ['a', 'b', 'cleared', 'c'])
  const [first, second, third] = asked
  assert.equal(first.url, 'http://gw/claims/a/exchanges?limit=200')
  assert.equal(first.headers.Authorization, 'Bearer secret')
  assert.equal(first.headers.Prefer, undefined)
  assert.equal(second.url, 'http://gw/claims/a/exchanges?limit=200&after=2')
  assert.equal(second.headers.Prefer, 'wait=25')
  assert.equal(third.url, 'http://gw/claims/a/exchanges?limit=200&after=3')
})

test('a watch ends where the claim is gone, and goes on after a fault', async () => {
  const { signal } = new AbortController()
  const asked = answer(503, { exchanges: [], change: '1' }, 404)
  await watch(
    { ...at, signal },
    () => {},
    () => {},
  )
  assert.equal(asked.length, 3)
})

test('a recording that is dropped is undefined', async () => {
  answer(404)
  assert.equal(await recordingOf(at, 'a/b'), undefined)
})

test('a replay sends what replaces members, and says why it is refused', async () => {
  const asked = answer({ id: 'new' }, 409)
  assert.equal(await replay(at, 'a/b', { method: 'PUT' }), 'new')
  assert.equal(asked[0].url, 'http://gw/claims/a/exchanges/a%2Fb/replay')
  assert.equal(asked[0].body, '{"method":"PUT"}')
  await assert.rejects(
    replay(at, 'a'),
    (e) => e instanceof Refused && e.status === 409 && e.message === 'why',
  )
})

test('a search has the ids of what the gateway found', async () => {
  const asked = answer({ exchanges: [{ id: 'a' }], change: '1' })
  assert.deepEqual(await search(at, new URLSearchParams({ content: 'x y' })), new Set(['a']))
  assert.equal(asked[0].url, 'http://gw/claims/a/exchanges?content=x+y&limit=200')
})

test('while the link is open recordings come by it, and requests wait otherwise', async () => {
  const stop = new AbortController()
  /** @type {any} */
  let listener
  const link = { listen: (l) => (listener = l), leave: () => (listener = undefined) }
  const seen = []
  const waits = (init) =>
    new Promise((_, reject) =>
      init.signal.addEventListener('abort', () => reject(init.signal.reason)),
    )
  const asked = answer(
    { exchanges: [{ id: 'a' }], change: '1' },
    waits,
    { exchanges: [], change: '4' },
    waits,
  )
  const over = watch(
    { ...at, signal: stop.signal, link },
    ({ id }) => seen.push(id),
    () => seen.push('cleared'),
  )
  const until = async (is) => {
    while (!is()) await new Promise((resolve) => setTimeout(resolve))
  }
  await until(() => asked.length === 2)
  assert.equal(listener.change(), '1')
  listener.opened()
  listener.told({ change: '2', exchange: { id: 'b' } })
  listener.told({ change: '3', cleared: true })
  await new Promise((resolve) => setTimeout(resolve))
  assert.equal(asked.length, 2, 'no request while the link is open')
  listener.closed()
  await until(() => asked.length === 4)
  assert.match(asked[2].url, /after=3$/)
  assert.match(asked[3].url, /after=4$/)
  stop.abort()
  await over
  assert.equal(listener, undefined)
  assert.deepEqual(seen, ['a', 'b', 'cleared'])
})
