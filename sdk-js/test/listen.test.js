// Polls that are streams. Cases that are data are in schema/vectors/client.json.
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { module, serve } from './built.js'
import { stopClock } from './clock.js'
import { outputOf } from './program.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

const transports = ['json', 'ndjson']

async function serving(t, handler, script, options) {
  const gateway = await scriptedGateway({ transports, ...script })
  const claim = await serve(handler, { gateway: gateway.origin, drainMs: 0, ...options })
  const states = []
  claim.addEventListener('statechange', (e) => states.push(e.state))
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  return { gateway, claim, states }
}

test('a poll for a stream does not ask for a wait', async (t) => {
  const { gateway } = await serving(t, () => new Response())
  await until(() => gateway.streams.length)
  const { headers } = gateway.seen.requests.find(({ url }) => url === '/requests')
  assert.deepEqual(
    [headers.accept, headers.prefer, headers['last-event-id']],
    [
      'application/vnd.reversehttp, application/x-ndjson;q=0.9, application/json;q=0.5',
      undefined,
      'c0',
    ],
  )
})

test('a message begins before the stream ends, and its cursor is in the next poll', async (t) => {
  const { gateway } = await serving(t, (_, info) => new Response('cursor' in info ? 'no' : 'hello'))
  await gateway.tell('', { cursor: 's1', ...request('x1') })
  await until(() => gateway.seen.answers.length)
  assert.equal(gateway.seen.answers[0].body, 'hello')
  assert.deepEqual(gateway.seen.polls, ['c0'])
  await gateway.tell({ cursor: 's2', ...request('x2') })
  gateway.streams[0].end()
  await until(() => gateway.seen.polls.length === 2)
  assert.deepEqual(gateway.seen.polls, ['c0', 's2'])
})

test('lines are read however their bytes are split', async (t) => {
  const { gateway } = await serving(t, (_, { headers }) => new Response(headers[0][1]))
  await until(() => gateway.streams.length)
  const line = JSON.stringify({ cursor: 's1', ...request('x1', { headers: [['A', 'ä€😀']] }) })
  for (const byte of Buffer.from(`\n${line}\r\n\n`)) {
    await new Promise((resolve) => gateway.streams[0].write(Buffer.of(byte), resolve))
  }
  await until(() => gateway.seen.answers.length)
  assert.equal(gateway.seen.answers[0].id, 'x1')
})

test('requests that are not handled when the claim is closed go to other sessions', async (t) => {
  const begun = []
  const { gateway, claim } = await serving(t, (_, { id }) => {
    begun.push(id)
    void claim.close()
    return new Response()
  })
  await until(() => gateway.streams.length)
  const lines = ['x1', 'x2'].map((id, i) => JSON.stringify({ cursor: `s${i + 1}`, ...request(id) }))
  gateway.streams[0].write(lines.join('\n') + '\n')
  await until(() => gateway.seen.sessions.length)
  assert.deepEqual([begun, gateway.seen.sessions], [['x1'], ['s1']])
})

for (const [what, reply] of [
  ['end at once', { lines: [''], ends: true }],
  ['end without a byte', { lines: [], ends: true }],
  ['are cut at once', { lines: [''], drop: true }],
]) {
  test(`streams that ${what} are not repeated in a tight loop`, async (t) => {
    const clock = stopClock(t)
    const requests = Array.from({ length: 10_000 }, () => reply)
    const { gateway, states } = await serving(t, () => new Response(), { requests })
    await gateway.settled()
    assert.equal(gateway.seen.polls.length, 1, 'it waits before it asks again')
    clock.tick(200)
    await until(() => gateway.seen.polls.length === 2)
    if (what === 'end at once') assert.deepEqual(states, [])
  })
}

test('a line that is not a message ends its stream', async (t) => {
  const gateway = await scriptedGateway({
    transports: ['json', 'ndjson'],
    requests: [{ lines: ['', 'no JSON'] }],
  })
  const claim = await serve(() => new Response(), { gateway: gateway.origin, drainMs: 0 })
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  await until(() => gateway.seen.polls.length === 2)
  await until(() => gateway.streams.length === 1 && gateway.seen.polls.length >= 2, 'one stream')
  await gateway.settled()
  assert.equal(gateway.streams.length, 1)
})

test('the first byte of a stream is enough to be online again', async (t) => {
  const { gateway, states } = await serving(t, () => new Response(), { requests: [{ drop: true }] })
  await until(() => states.includes('online'))
  assert.deepEqual(gateway.seen.forms, ['ndjson', 'ndjson'])
  assert.equal(gateway.streams.length, 1)
})

test('a stream that falls silent is a failed poll, and batches follow for five minutes', async (t) => {
  const clock = stopClock(t)
  const { gateway, states } = await serving(t, () => new Response(), {
    limits: { heartbeatSeconds: 0.05 },
    requests: [{ lines: [''] }],
  })
  await until(() => gateway.streams.length)
  await gateway.settled()
  clock.tick(5_099)
  await gateway.settled()
  assert.equal(gateway.seen.polls.length, 1)
  clock.tick(1) // twice the heartbeat and 5 s
  await gateway.settled()
  clock.tick(200)
  await until(() => gateway.seen.polls.length === 2)
  assert.deepEqual(states.slice(0, 1), ['reconnecting'])
  const { headers } = gateway.seen.requests.filter(({ url }) => url === '/requests')[1]
  assert.deepEqual([headers.accept, headers.prefer], ['application/json', 'wait=0'])
  const now = performance.now.bind(performance)
  t.mock.method(performance, 'now', () => now() + 300_000)
  await gateway.deliver()
  await until(() => gateway.seen.polls.length === 3)
  assert.equal(gateway.seen.forms[2], 'ndjson')
})

test('a new session asks for streams again', async (t) => {
  const { gateway } = await serving(t, () => new Response(), { requests: [{ lines: [] }] })
  await until(() => gateway.parked)
  await gateway.refuse(409, 'session_fenced')
  await until(() => gateway.streams.length)
  assert.deepEqual(gateway.seen.forms, ['ndjson', 'json', 'ndjson'])
})

test('with a fetch whose Response has no stream the SDK polls for batches', async (t) => {
  const fetch = async (url, init) => {
    const response = await globalThis.fetch(url, init)
    return new Proxy(response, {
      get: (of, name) => {
        const value = name === 'body' ? undefined : Reflect.get(of, name, of)
        return typeof value === 'function' ? value.bind(of) : value
      },
    })
  }
  const { gateway, states } = await serving(t, () => new Response(), {}, { fetch })
  await gateway.deliver(request('x1'))
  await until(() => gateway.seen.answers.length)
  assert.deepEqual(gateway.seen.forms.slice(0, 2), ['ndjson', 'json'])
  assert.deepEqual(states, [])
})

test('if the other modules cannot be loaded, the SDK polls for batches, and has no upgrade', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-alone-'))
  t.after(() => rm(dir, { recursive: true }))
  const alone = join(dir, 'sdk.mjs')
  await copyFile(new URL(module), alone)
  const { serve } = await import(pathToFileURL(alone).href)
  const gateway = await scriptedGateway({ transports })
  const upgrades = []
  const claim = await serve(
    (request, info) => {
      upgrades.push('upgrade' in info)
      if (request.url.endsWith('/wants')) info.upgrade()
      return new Response('hello')
    },
    { gateway: gateway.origin, drainMs: 0, logger: null },
  )
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  await gateway.deliver(
    request('x1'),
    request('x2', { upgrade: 'websocket', bodyUrl: '{origin}/content' }),
    request('x3', { upgrade: 'websocket', bodyUrl: '{origin}/content', target: '/wants' }),
  )
  await until(() => gateway.seen.answers.length === 3)
  assert.deepEqual(gateway.seen.forms.slice(0, 1), ['json'])
  assert.deepEqual(upgrades, [false, false, false])
  assert.deepEqual(gateway.seen.answers.map(({ id, status }) => [id, status]).sort(), [
    ['x1', 200],
    ['x2', 200],
    ['x3', 501],
  ])
})

test('a module that loads late is used once it is there', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-late-'))
  t.after(() => rm(dir, { recursive: true }))
  await copyFile(new URL(module), join(dir, 'index.mjs'))
  // The module imports ./stream.js, which the test lets load later.
  await writeFile(
    join(dir, 'stream.js'),
    `await new Promise((resolve) => (globalThis.load = resolve))
    export * from ${JSON.stringify(new URL('stream.js', module).href)}`,
  )
  await writeFile(join(dir, 'package.json'), '{"type":"module"}')
  const { serve } = await import(pathToFileURL(join(dir, 'index.mjs')).href)
  const gateway = await scriptedGateway({ transports, limits: { framedInlineBytes: 65_536 } })
  const claim = await serve(() => new Response('hi'), { gateway: gateway.origin, drainMs: 0 })
  t.after(async () => {
    await claim.close()
    await gateway.close()
    delete globalThis.load
  })
  await gateway.deliver(request('before'))
  await until(() => gateway.seen.answers.length)
  assert.deepEqual([gateway.seen.answers[0].body, gateway.seen.framed], ['hi', []])
  globalThis.load()
  await until(async () => {
    if (gateway.parked) await gateway.deliver(request(`x${gateway.seen.polls.length}`))
    return gateway.seen.forms.includes('framed')
  })
  await gateway.tell({ cursor: 's1', ...request('after') })
  await until(() => gateway.seen.framed.some(({ id }) => id === 'after'))
  assert.equal(gateway.seen.claims.length, 1)
})

test('Node ends when the claim is closed', async (t) => {
  const gateway = await scriptedGateway({ transports })
  t.after(() => gateway.close())
  const stdout = await outputOf(`
    const claim = await serve(() => new Response(), { gateway: ${JSON.stringify(gateway.origin)} })
    await claim.close()
    console.log('closed')`)
  assert.equal(stdout, 'closed\n')
})

test('early hints are sent before the answer, and invalid ones are reported', async (t) => {
  const results = ({ messages }) => ({
    status: 202,
    json: {
      results: messages.map(({ id, type }) =>
        type === 'interim'
          ? { id, status: 'invalid', detail: 'bad', pointer: '/headers/0' }
          : { id, status: 'accepted' },
      ),
    },
  })
  const { gateway, claim } = await serving(
    t,
    (_, info) => {
      info.earlyHints([['Link', '</a.css>; rel=preload']])
      return new Response('hello')
    },
    { responses: [results] },
  )
  const errors = []
  claim.addEventListener('error', (e) => errors.push(e.message))
  await gateway.tell('', { cursor: 's1', ...request('x1') })
  await until(() => gateway.seen.answers.length === 2 && errors.length)
  assert.deepEqual(gateway.seen.answers[0], {
    type: 'interim',
    id: 'x1',
    status: 103,
    headers: [['Link', '</a.css>; rel=preload']],
  })
  assert.equal(gateway.seen.answers[1].body, 'hello')
  assert.deepEqual(errors, ['GET /: bad /headers/0'])
})
