import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { helper } from './built.js'
import { serving } from './serving.js'
import { until } from './scripted-gateway.js'

const { receive } = await helper('receive')
const at = new URL('../../schema/vectors/webhooks.json', import.meta.url)
const { cases } = JSON.parse(await readFile(at, 'utf8'))

describe('a receiver passes every case', () => {
  for (const c of cases) test(c.name, (t) => receiveAll(t, c))
})

async function receiveAll(t, { why, hook, steps }) {
  t.mock.timers.enable({ apis: ['Date'] })
  let step, handled, release
  const released = new Promise((resolve) => (release = resolve))
  const receiver = receive(hook, async (request, info) => {
    const mine = step
    const content = Buffer.from(await request.arrayBuffer())
    assert.deepEqual(Buffer.from(info.content), content, why)
    handled.push(content)
    if (mine.waits) await released
    if (mine.fails) throw new Error('as the case says')
    return mine.answers ? new Response(null, { status: mine.answers }) : undefined
  })
  let now = steps[0].at ?? 1700000000
  let waiting
  for (const [i, s] of steps.entries()) {
    now = s.at ?? now
    t.mock.timers.setTime(now * 1000)
    step = s
    handled = []
    let response
    if (s.waits) {
      waiting = receiver(...asked(s.request))
      await until(() => handled.length, 'the handler has it')
    } else if (s.release) {
      release()
      response = await waiting
    } else {
      response = await receiver(...asked(s.request)).catch(() => undefined)
    }
    const where = `step ${i}: ${why}`
    assert.deepEqual(handled, s.handled ? [bytesOf(s.request)] : [], where)
    if (!s.waits) await compare(response, s.received, where)
  }
}

function bytesOf({ body = '', bodyBase64, bodyRepeat }) {
  if (bodyRepeat) return Buffer.from(bodyRepeat.text.repeat(bodyRepeat.count))
  return bodyBase64 ? Buffer.from(bodyBase64, 'base64') : Buffer.from(body)
}

/** Returns the arguments of a handler. */
function asked(of) {
  const { method, target = '/', headers } = of
  const content = new Uint8Array(bytesOf(of))
  const body = method === 'POST' || method === 'PUT' ? content : undefined
  const request = new Request(`http://demo.test${target}`, { method, headers, body })
  return [request, { method, headers, content, body: null }]
}

async function compare(response, want, why) {
  assert.equal(response?.status, want.status, why)
  if (!response) return
  for (const [name, value] of want.headers ?? []) {
    assert.equal(response.headers.get(name), value, `${name}: ${why}`)
  }
  for (const name of want.absent ?? []) assert.equal(response.headers.get(name), null, why)
  const content = await response.text()
  if (want.code) {
    const { code, status } = JSON.parse(content)
    assert.deepEqual([code, status], [want.code, want.status], why)
  } else if (want.body !== undefined) assert.equal(content, want.body, why)
}

test('a receiver with missing or wrong options throws', () => {
  const needs = [
    { preset: 'other', secret: 's' },
    { preset: 'toString', secret: 's' },
    { preset: 'github' },
    { preset: 'standard', secret: 'whsec_AAAA' },
    { preset: 'standard', secret: `whsec_${'A'.repeat(34)}` },
    { preset: 'standard', secret: 'whpk_AAAA' },
    { preset: 'discord', secret: '00' },
    { preset: 'slack' },
    { preset: 'stripe' },
    { preset: 'websub', secret: 's' },
  ]
  for (const of of needs) {
    assert.throws(() => receive(of, () => undefined), TypeError, JSON.stringify(of))
  }
})

test('a receiver remembers the newest webhooks, and bounds those that its handler processes', async () => {
  const send = async (receiver, id) => {
    const headers = [['ce-source', '/a'], ['ce-id', `${id}`]] // prettier-ignore
    return (await receiver(...asked({ method: 'POST', headers, body: '{}' }))).status
  }
  const receiver = receive({ preset: 'cloudevents' }, () => new Response(null, { status: 202 }))
  for (let id = 0; id < 1025; id++) await send(receiver, id)
  assert.deepEqual(
    [await send(receiver, 1), await send(receiver, 1024), await send(receiver, 0)],
    [200, 200, 202],
  )
  let release
  let running = 0
  const released = new Promise((resolve) => (release = resolve))
  const slow = receive({ preset: 'cloudevents' }, () => (running++, released))
  const sent = Array.from({ length: 1024 }, (_, id) => send(slow, id))
  await until(() => running === 1024, 'all are with the handler')
  assert.equal(await send(slow, 1024), 503)
  release()
  await Promise.all(sent)
  assert.equal(await send(slow, 1024), 204)
})

test('streamed content is received whole, up to its bound', async () => {
  const read = []
  const receiver = receive({ preset: 'cloudevents' }, async (request) => {
    read.push((await request.bytes?.())?.length ?? (await request.arrayBuffer()).byteLength)
  })
  let cancelled = false
  const stream = (chunks) =>
    new ReadableStream({
      pull: (controller) =>
        chunks-- ? controller.enqueue(new Uint8Array(65_536)) : controller.close(),
      cancel: () => void (cancelled = true),
    })
  const post = new Request('http://demo.test/', { method: 'POST' })
  const info = { method: 'POST', headers: [], content: new Uint8Array() }
  assert.equal((await receiver(post, { ...info, body: stream(16) })).status, 204)
  assert.equal((await receiver(post, { ...info, body: stream(Infinity) })).status, 413)
  assert.deepEqual(read, [1_048_576])
  assert.ok(cancelled)
})

test('a receiver can be served as a handler', async (t) => {
  const { exchange } = await serving(
    t,
    receive({ preset: 'cloudevents' }, (request) => new Response(request.body, { status: 201 })),
  )
  const answer = await exchange({ method: 'POST', body: '{"id":"1","source":"/"}' })
  assert.deepEqual([answer.status, answer.body], [201, '{"id":"1","source":"/"}'])
  const again = await exchange({ method: 'POST', body: '{"id":"1","source":"/"}' })
  assert.deepEqual([again.status, again.body], [200, undefined])
})
