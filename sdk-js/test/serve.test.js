import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReverseHttpError, serve } from './built.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

const hello = () => new Response('hello')

// First, while there is no connection: Node could not stop a timer of one while timers are mocked (undici, 4755).
for (const [where, location, gateway, tells] of [
  ['a page over http:', {}, 'http://gateway.test', true],
  ['a page over https:, where tabs share one connection,', {}, 'https://gateway.test', false],
  ['Node, which has no tabs,', undefined, 'http://gateway.test', false],
]) {
  test(`in ${where} a request that waits for a connection ${tells ? 'rejects and says why' : 'waits on'}`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    if (location) globalThis.location = location
    t.after(() => delete globalThis.location)
    const fetch = (_, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    let rejected = false
    const claiming = serve(hello, { gateway, fetch }).catch((e) => {
      rejected = true
      throw e
    })
    const outcome = assert.rejects(claiming, ({ code, detail, message }) => {
      assert.equal(code, 'network')
      assert.equal(/other tabs/i.test(detail), tells)
      assert.equal(/other tabs/i.test(message), tells)
      return true
    })
    t.mock.timers.tick(9_000)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(rejected, tells)
    t.mock.timers.tick(21_000)
    await outcome
  })
}

test('a claim has its label, URL, token and state', async (t) => {
  const gateway = await started(t, { base: '/at/demo/' })
  const claim = await serve(hello, { gateway: gateway.origin, label: 'demo', token: 't0' })
  t.after(() => claim.close())
  assert.deepEqual(
    [claim.label, claim.url, claim.token, claim.state],
    ['demo', 'http://demo.localhost:8080/at/demo/', 't0', 'online'],
  )
})

test('the claim request has the key and the options', async (t) => {
  const gateway = await started(t)
  const wish = { label: 'demo', lease: 5, timeoutMs: 2000, redeliver: 'any', inspect: false }
  const claim = await serve(hello, { gateway: new URL(gateway.origin), key: 'k', ...wish })
  t.after(() => claim.close())
  assert.deepEqual(gateway.seen.claims, [wish])
  const { headers } = gateway.seen.requests.find((r) => r.url === '/claims')
  assert.equal(headers.authorization, 'Bearer k')
  await until(() => gateway.parked)
  const poll = gateway.seen.requests.find((r) => r.url === '/requests')
  assert.equal(poll.headers.authorization, 'Bearer t0')
  assert.equal(poll.headers.prefer, 'wait=25')
})

test('a claim has the URL of its recordings, if the gateway has any', async (t) => {
  for (const exchanges of ['{origin}/x', undefined]) {
    const gateway = await started(t, { exchanges })
    const claim = await serve(hello, { gateway: gateway.origin, inspect: true })
    t.after(() => claim.close())
    assert.equal(claim.exchanges, exchanges?.replace('{origin}', gateway.origin))
    assert.deepEqual(gateway.seen.claims, [{ inspect: true }])
  }
})

test('outside of a page the option gateway is required', async () => {
  await assert.rejects(serve(hello), TypeError)
})

test('a refusal rejects with its code and status', async (t) => {
  const problem = { title: 'Forbidden', status: 403, code: 'label_taken', detail: 'another has it' }
  const gateway = await started(t, { claims: [{ status: 403, json: problem }] })
  await assert.rejects(serve(hello, { gateway: gateway.origin, label: 'demo' }), (e) => {
    assert.ok(e instanceof ReverseHttpError)
    assert.deepEqual([e.code, e.status], ['label_taken', 403])
    return true
  })
  assert.equal(gateway.seen.claims.length, 1)
})

test('a gateway that cannot be reached rejects with network', async () => {
  const gateway = await scriptedGateway()
  await gateway.close()
  await assert.rejects(serve(hello, { gateway: gateway.origin }), { code: 'network', status: 0 })
})

test('a server that is not a gateway rejects with unexpected', async (t) => {
  const gateway = await started(t, { discovery: { version: 7 } })
  await assert.rejects(serve(hello, { gateway: gateway.origin }), { code: 'unexpected' })
})

test('an abort before there is a claim rejects with its reason', async (t) => {
  const gateway = await started(t)
  const reason = new Error('changed my mind')
  const signal = AbortSignal.abort(reason)
  await assert.rejects(serve(hello, { gateway: gateway.origin, signal }), reason)
  const controller = new AbortController()
  const fetch = (url, init) =>
    url.endsWith('/claims')
      ? new Promise((_, reject) => {
          init.signal.addEventListener('abort', () => reject(init.signal.reason))
          controller.abort(reason)
        })
      : globalThis.fetch(url, init)
  const claiming = serve(hello, { gateway: gateway.origin, signal: controller.signal, fetch })
  await assert.rejects(claiming, reason)
})

test('an abort later closes the claim', async (t) => {
  const gateway = await started(t)
  const controller = new AbortController()
  const claim = await serve(hello, { gateway: gateway.origin, signal: controller.signal })
  controller.abort()
  await claim.closed
  assert.equal(claim.state, 'closed')
  assert.equal(gateway.seen.sessions.length, 1)
})

test('many claims can share a signal, and Node does not warn about a leak', async (t) => {
  const gateway = await started(t)
  const warnings = []
  const warn = ({ message }) => warnings.push(message)
  process.on('warning', warn)
  t.after(() => process.off('warning', warn))
  const controller = new AbortController()
  const { signal } = controller
  const claims = []
  for (let i = 0; i < 12; i++) claims.push(await serve(hello, { gateway: gateway.origin, signal }))
  await claims[3].close()
  controller.abort()
  await Promise.all(claims.map((claim) => claim.closed))
  assert.equal(gateway.seen.sessions.length, 12)
  assert.deepEqual(warnings, [])
})

test('the injected fetch makes every request', async (t) => {
  const gateway = await started(t)
  const urls = new Set()
  const fetch = (url, init) => {
    urls.add(new URL(url).pathname)
    return globalThis.fetch(url, init)
  }
  const claim = await serve(hello, { gateway: gateway.origin, fetch })
  await gateway.deliver(request('x1'))
  await until(() => gateway.seen.answers.length)
  await claim.close()
  assert.deepEqual(
    [...urls],
    ['/.well-known/reversehttp', '/claims', '/requests', '/responses', '/session'],
  )
})

test('a reload gets the label back that the gateway picked', async (t) => {
  const gateway = await started(t)
  const storage = memory()
  const options = { gateway: gateway.origin, storage }
  await (await serve(hello, options)).close()
  await (await serve(hello, options)).close()
  assert.deepEqual(gateway.seen.claims, [{}, { label: 'demo', token: 't0' }])
})

test('a reload sends the token of the label that it asks for', async (t) => {
  const gateway = await started(t)
  const options = { gateway: gateway.origin, storage: memory(), label: 'demo' }
  await (await serve(hello, options)).close()
  await (await serve(hello, options)).close()
  await (await serve(hello, { ...options, label: 'other' })).close()
  assert.deepEqual(gateway.seen.claims, [
    { label: 'demo' },
    { label: 'demo', token: 't0' },
    { label: 'other' },
  ])
})

test('a second claim of the same page does not take the label of the first', async (t) => {
  const gateway = await started(t)
  const options = { gateway: gateway.origin, storage: memory() }
  const first = await serve(hello, options)
  const second = await serve(hello, options)
  assert.deepEqual(gateway.seen.claims, [{}, {}])
  await Promise.all([first.close(), second.close()])
})

test('a remembered label that another program has by now is replaced by a new one', async (t) => {
  const taken = { title: '', status: 403, code: 'label_taken', detail: '' }
  const gateway = await started(t, { claims: [{}, { status: 403, json: taken }] })
  const options = { gateway: gateway.origin, storage: memory() }
  await (await serve(hello, options)).close()
  await (await serve(hello, options)).close()
  assert.deepEqual(gateway.seen.claims, [{}, { label: 'demo', token: 't0' }, {}])
})

test('with a storage that throws nothing is remembered, and serve works', async (t) => {
  const gateway = await started(t)
  const storage = {
    getItem: () => {
      throw new Error('forbidden')
    },
    setItem: () => {
      throw new Error('full')
    },
    removeItem: () => {
      throw new Error('forbidden')
    },
  }
  const claim = await serve(hello, { gateway: gateway.origin, storage })
  await claim.delete()
  assert.equal(claim.state, 'closed')
})

test('delete forgets the remembered label', async (t) => {
  const gateway = await started(t)
  const options = { gateway: gateway.origin, storage: memory() }
  await (await serve(hello, options)).delete()
  await (await serve(hello, options)).close()
  assert.deepEqual(gateway.seen.claims, [{}, {}])
  const deleted = gateway.seen.requests.filter((r) => r.method === 'DELETE').map((r) => r.url)
  assert.deepEqual(deleted, ['/session', '/claim', '/session'])
})

function memory() {
  const items = new Map()
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  }
}

async function started(t, script) {
  const gateway = await scriptedGateway(script)
  t.after(() => gateway.close())
  return gateway
}
