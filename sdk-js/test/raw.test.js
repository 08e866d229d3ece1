// Much content, sent as it is in one request.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { serve } from './built.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

const pieceBytes = 262_144
const size = 20 * pieceBytes + 12_345
const at = (i) => (i * 7919) >> 3
const all = Buffer.from(Array.from({ length: size }, (_, i) => at(i)))

/** A stream of chunks; `pulls` counts them. It is `all` once, or so many times. */
function source({ fails = false, times = 1 } = {}) {
  const s = { pulls: 0 }
  let sent = 0
  s.stream = new ReadableStream(
    {
      pull(c) {
        s.pulls++
        if (fails && sent > size / 2) throw new Error('out of paper')
        if (sent >= size && --times > 0) sent = 0
        if (sent >= size) return c.close()
        c.enqueue(new Uint8Array(all.subarray(sent, (sent += 65_536))))
      },
      cancel: (reason) => void (s.cancelled = reason),
    },
    { highWaterMark: 0 },
  )
  return s
}

async function serving(t, stream, options, script) {
  const gateway = await scriptedGateway({ transports: ['json', 'ndjson'], ...script })
  const claim = await serve(() => new Response(stream()), {
    gateway: gateway.origin,
    drainMs: 0,
    ...options,
  })
  const ended = []
  claim.addEventListener('exchange', (e) => ended.push(e.result))
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  await gateway.tell('', { cursor: 's1', ...request('x1') })
  return { gateway, claim, ended }
}

const of = (gateway) => gateway.seen.answers.filter((a) => a.id === 'x1')
const contentOf = ({ body, bodyBase64 }) =>
  Buffer.from(body ?? bodyBase64 ?? '', bodyBase64 && 'base64')

test('much content goes in one request after its beginning', async (t) => {
  const { gateway, ended } = await serving(t, () => source().stream)
  await until(() => ended.length)
  assert.deepEqual(ended, ['accepted'])
  const [head, ...parts] = of(gateway)
  assert.deepEqual([head.more, parts.length, gateway.uploads.length], [true, 0, 1])
  const content = Buffer.concat([contentOf(head), ...gateway.uploads[0]])
  assert.ok(content.equals(all), 'it is not the same')
  const { headers } = gateway.seen.requests.find(({ url }) => url === '/requests')
  assert.equal(headers.authorization, 'Bearer t0')
})

test('where a request may not stream, all of it goes in parts, and that is asked once', async (t) => {
  let tries = 0
  const fetch = (url, init) => {
    if (init.body?.getReader && ++tries) return Promise.reject(new TypeError('not over HTTP/1.1'))
    return globalThis.fetch(url, init)
  }
  const { gateway, ended } = await serving(t, () => source().stream, { fetch })
  await until(() => ended.length)
  assert.ok(Buffer.concat(of(gateway).map(contentOf)).equals(all), 'it is not the same')
  await gateway.tell({ cursor: 's2', ...request('x2') })
  await until(() => ended.length === 2)
  assert.deepEqual([tries, gateway.uploads.length], [1, 0])
})

test('where something in between refuses it on its way, it goes in parts, and so does the next', async (t) => {
  let tries = 0
  const fetch = async (url, init) => {
    if (!url.endsWith('/response')) return globalThis.fetch(url, init)
    tries++
    await init.body.getReader().read()
    return new Response('<h1>413</h1>', { status: 413 })
  }
  const { gateway, claim, ended } = await serving(t, () => source().stream, { fetch })
  const errors = []
  claim.addEventListener('error', ({ error }) => errors.push(error.code))
  await until(() => ended.length)
  await gateway.tell({ cursor: 's2', ...request('x2') })
  await until(() => ended.length === 2)
  for (const id of ['x1', 'x2']) {
    const parts = gateway.seen.answers.filter((a) => a.id === id)
    assert.ok(Buffer.concat(parts.map(contentOf)).equals(all), `${id} is not the same`)
  }
  assert.deepEqual([ended, errors, tries], [['accepted', 'accepted'], [], 1])
})

test('where it is refused too late for parts, its visitor is told, and the next goes in parts', async (t) => {
  let tries = 0
  const fetch = async (url, init) => {
    if (!url.endsWith('/response')) return globalThis.fetch(url, init)
    tries++
    let bytes = 0
    for await (const chunk of init.body) if ((bytes += chunk.length) > 8 << 20) break
    return new Response('<h1>413</h1>', { status: 413 })
  }
  const stream = () => source({ times: tries ? 1 : 4 }).stream
  const { gateway, claim, ended } = await serving(t, stream, { fetch })
  const errors = []
  claim.addEventListener('error', ({ error }) => errors.push(error.code))
  await until(() => ended.length)
  assert.deepEqual([of(gateway).at(-1).type, errors], ['abort', ['network']])
  await gateway.tell({ cursor: 's2', ...request('x2') })
  await until(() => ended.length === 2)
  const parts = gateway.seen.answers.filter((a) => a.id === 'x2')
  assert.ok(Buffer.concat(parts.map(contentOf)).equals(all), 'it is not the same')
  assert.equal(tries, 1)
})

test('where something between bounds requests, all of it goes in parts', async (t) => {
  const errors = []
  let refused = 0
  // As nginx does: it reads a request before it sends it on, and 1 MiB of it at most.
  const fetch = async (url, init) => {
    if (!init.body?.getReader) return globalThis.fetch(url, init)
    let bytes = 0
    for await (const chunk of init.body) {
      if ((bytes += chunk.length) <= 1 << 20) continue
      refused++
      return new Response('<h1>413 Request Entity Too Large</h1>', { status: 413 })
    }
    throw new Error(`only ${bytes} bytes were sent`)
  }
  const { gateway, claim, ended } = await serving(t, () => source().stream, { fetch })
  claim.addEventListener('error', (e) => errors.push(e.message))
  await until(() => ended.length)
  assert.ok(Buffer.concat(of(gateway).map(contentOf)).equals(all), 'it is not the same')
  assert.deepEqual([ended, errors, refused], [['accepted'], [], 1])
})

test('no more of it is read than the gateway takes', async (t) => {
  const s = source({ times: 20 })
  let go
  const { gateway, ended } = await serving(t, () => {
    gateway.script('response', async (req, res, chunks) => {
      await new Promise((resolve) => (go = resolve))
      for await (const chunk of req) chunks.push(chunk)
      res.writeHead(202, { 'Content-Type': 'application/json' }).end('{"status":"accepted"}')
    })
    return s.stream
  })
  await until(() => go)
  await new Promise((resolve) => setTimeout(resolve, 300))
  // What sockets of both sides hold is not the SDK's, but not all of it either.
  assert.ok(s.pulls < (10 * size) / 65_536, `${s.pulls} chunks were read`)
  go()
  await until(() => ended.length)
  const [first, ...rest] = [contentOf(of(gateway)[0]), ...gateway.uploads[0]]
  assert.equal(
    rest.reduce((n, chunk) => n + chunk.length, first.length),
    20 * size,
  )
})

test('what was sent is not kept', async (t) => {
  let most = 0
  const { gateway, claim, ended } = await serving(t, () => {
    gateway.script('response', async (req, res) => {
      for await (const _ of req) most = Math.max(most, process.memoryUsage().arrayBuffers)
      res.writeHead(202, { 'Content-Type': 'application/json' }).end('{"status":"accepted"}')
    })
    return source({ times: 60 }).stream
  })
  // It takes what it takes.
  if (!ended.length) await once(claim, 'exchange')
  // Of some 315 MB; much of it is garbage that was not collected yet.
  assert.ok(most < 200e6, `${most} bytes were held`)
})

test('a request that is cut cancels the stream, and the answer is not begun again', async (t) => {
  const s = source({ times: 50 })
  const stream = () => {
    gateway.script('response', (req) => {
      let bytes = 0
      req.on('data', (chunk) => (bytes += chunk.length) > 16 << 20 && req.socket.destroy())
    })
    return s.stream
  }
  const { gateway, ended } = await serving(t, stream, { logger: null })
  await until(() => ended.length && s.cancelled)
  const [, ...others] = of(gateway)
  assert.deepEqual([ended.length, others], [1, [{ type: 'abort', id: 'x1' }]])
})

test('what the gateway says before the end cancels the stream', async (t) => {
  const s = source({ times: 50 })
  const { gateway, ended } = await serving(t, () => {
    gateway.script('response', (req, res) => {
      res.writeHead(202, { 'Content-Type': 'application/json' }).end('{"status":"conflict"}')
    })
    return s.stream
  })
  await until(() => ended.length && s.cancelled)
  assert.equal(ended[0], 'conflict')
})

test('a stream that fails in the middle is an abort', async (t) => {
  const { gateway, claim } = await serving(t, () => source({ fails: true }).stream)
  const errors = []
  claim.addEventListener('error', (e) => errors.push(e.message))
  await until(() => of(gateway).some((a) => a.type === 'abort'))
  assert.deepEqual(errors, ['GET /: out of paper'])
  await until(() => gateway.uploads[0].closed, 'the end of the request')
})

test('content that comes bit by bit goes in parts', async (t) => {
  const { gateway, ended } = await serving(t, () => {
    let n = 0
    return new ReadableStream({
      async pull(c) {
        await new Promise((resolve) => setTimeout(resolve, 30))
        if (n++ === 4) c.close()
        else c.enqueue(new Uint8Array(70_000))
      },
    })
  })
  await until(() => ended.length)
  assert.equal(gateway.uploads.length, 0)
})
