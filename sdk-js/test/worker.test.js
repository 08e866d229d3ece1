// The page's side of serveFromWorker, with a fake Worker that a test controls. e2e has real ones.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { helper, ReverseHttpError } from './built.js'
import { until } from './scripted-gateway.js'

const { serveFromWorker } = await helper('worker')

let page, worker, goodbyes, realFetch
beforeEach(() => {
  page = new EventTarget()
  goodbyes = []
  worker = undefined
  realFetch = globalThis.fetch
  globalThis.fetch = async (url, init) => void goodbyes.push({ url, ...init })
  globalThis.addEventListener = page.addEventListener.bind(page)
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  globalThis.Worker = class extends EventTarget {
    heard = []
    constructor() {
      super()
      worker = this
      setImmediate(() => this.say({ type: 'here' }))
    }
    say = (data) => this.dispatchEvent(Object.assign(new Event('message'), { data }))
    postMessage = (message) => void this.heard.push(message)
    terminate = () => (this.ended = true)
  }
})
afterEach(() => {
  globalThis.fetch = realFetch
  delete globalThis.addEventListener
  delete globalThis.document
  delete globalThis.Worker
})

const facts = {
  label: 'demo',
  token: 't0',
  url: 'http://demo.test/',
  session: 'http://gateway.test/session',
  claim: 'http://gateway.test/claim',
}
const envelope = (id, path) => ({
  type: 'request',
  id,
  method: 'POST',
  url: `http://demo.test/${path}`,
  base: 'http://demo.test/',
  target: `/${path}`,
  headers: [],
  timeoutMs: 1000,
  content: new Uint8Array(),
})

/** Serves with the handler, and returns the claim with the list of its states. */
async function serving(handler) {
  const made = serveFromWorker(handler, { gateway: 'http://gateway.test', logger: null })
  await until(() => worker?.heard.length)
  worker.say({ type: 'serving', state: 'online', facts })
  const claim = await made
  const states = []
  claim.addEventListener('statechange', ({ state }) => states.push(state))
  return { claim, states }
}

const request = (id, { inMs = 60_000, life = 0, path = '' } = {}) =>
  worker.say({ type: 'request', envelope: envelope(id, path), beginBy: Date.now() + inMs, life })
const said = (id) => worker.heard.filter((message) => message.id === id).map(({ type }) => type)

test('a request that arrives in time is handled, and a late one is refused', async () => {
  const began = []
  await serving((_, { id }) => {
    began.push(id)
    return new Response('hello')
  })
  request('x1')
  request('x2', { inMs: -1 })
  await until(() => said('x1').length === 2)
  assert.deepEqual([said('x1'), said('x2')], [['begun', 'answered'], ['late']])
  assert.deepEqual(began, ['x1'])
})

test('a request from before the page was frozen is refused when the page resumes', async () => {
  const { states } = await serving(() => new Response())
  globalThis.document.dispatchEvent(new Event('freeze'))
  assert.deepEqual(states, ['frozen'], 'before the event is over')
  const [{ url, method, keepalive, headers }] = goodbyes
  assert.deepEqual([url, method, keepalive], [facts.session, 'DELETE', true])
  assert.deepEqual(headers, { Authorization: 'Bearer t0' })
  globalThis.document.dispatchEvent(new Event('resume'))
  request('x1')
  assert.deepEqual(said('x1'), ['late'])
  const { life } = worker.heard.findLast(({ type }) => type === 'life')
  request('x2', { life })
  assert.deepEqual(said('x2')[0], 'begun')
})

test('a page that is left ends its session, and lets visitors wait for it, unless it stands by', async () => {
  const { states } = await serving(() => new Response())
  page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: false }))
  assert.deepEqual(states, ['gone'])
  assert.equal(goodbyes[0].headers.Prefer, 'wait=5')
  worker = undefined
  await serving(() => new Response())
  worker.say({ type: 'turned', state: 'standby', facts })
  page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: false }))
  assert.equal(goodbyes.length, 1)
})

test('a handler learns when its visitor left, and when its claim is closed', async () => {
  const signals = []
  const { claim } = await serving((_, { signal }) => {
    signals.push(signal)
    return new Promise(() => {})
  })
  request('x1')
  request('x2')
  worker.say({ type: 'cancel', id: 'x1', message: 'left' })
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, false],
  )
  assert.equal(signals[0].reason.message, 'left')
  const closed = claim.close()
  assert.equal(worker.heard.at(-1).type, 'close')
  worker.say({ type: 'turned', state: 'closed', facts })
  await closed
  assert.deepEqual([claim.state, worker.ended, signals[1].aborted], ['closed', true, true])
})

test('errors arrive as those of the SDK', async () => {
  const { claim } = await serving(() => new Response())
  let error
  claim.addEventListener('error', (event) => (error = event.error))
  const fault = { code: 'handler_failed', message: 'GET /', status: 0, detail: '', retryAfterMs: 0 }
  worker.say({ type: 'error', error: fault })
  assert.ok(error instanceof ReverseHttpError)
  assert.equal(error.code, 'handler_failed')
  worker.say({ type: 'turned', state: 'closed', facts, error: { ...fault, code: 'claim_deleted' } })
  await assert.rejects(claim.closed, { code: 'claim_deleted' })
})

test('the page deletes the claim after its Worker has closed it', async () => {
  const { claim } = await serving(() => new Response())
  globalThis.fetch = async (url, init) => {
    goodbyes.push({ url, ...init })
    return new Response(null, { status: goodbyes.length > 1 ? 404 : 204 })
  }
  const deleted = claim.delete()
  assert.deepEqual([worker.heard.at(-1).type, goodbyes.length], ['close', 0])
  worker.say({ type: 'turned', state: 'closed', facts })
  await deleted
  const [{ url, method, headers }] = goodbyes
  assert.deepEqual([url, method, headers.Authorization], [facts.claim, 'DELETE', 'Bearer t0'])
  await assert.rejects(claim.delete(), (e) => e instanceof ReverseHttpError && e.status === 404)
})

test('the logger gets errors only while there is no listener', async () => {
  const logged = []
  const made = serveFromWorker(() => new Response(), {
    gateway: 'http://gateway.test',
    logger: { error: (e) => logged.push(e.code) },
  })
  await until(() => worker?.heard.length)
  worker.say({ type: 'serving', state: 'online', facts })
  const claim = await made
  const fail = (code) => worker.say({ type: 'error', error: { code, message: '' } })
  const listener = () => {}
  fail('first')
  claim.addEventListener('error', listener)
  fail('second')
  claim.removeEventListener('error', listener)
  fail('third')
  assert.deepEqual(logged, ['first', 'third'])
})

test('a request is waited for, and its path is no longer the handler’s', async () => {
  const { claim } = await serving(() => new Response(null, { status: 418 }))
  const waited = claim.waitFor('/callback')
  await helper('wait')
  await new Promise(setImmediate) // from then on it waits
  for (const [id, path] of [
    ['x1', 'callback?code=1'],
    ['x2', 'callback?code=2'],
    ['x3', 'other'],
  ]) {
    request(id, { path })
    await until(() => said(id).length === 2)
  }
  assert.equal((await waited).url, 'http://demo.test/callback?code=1')
  const statuses = worker.heard.filter(({ type }) => type === 'answered').map((m) => m.status)
  assert.deepEqual(statuses, [200, 404, 418])
})
