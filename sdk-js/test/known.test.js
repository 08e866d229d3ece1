// Content of known length is sent in one message, with its length.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './built.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

const size = 700_001
const all = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7919) >> 3))
const text = 'grün '.repeat(100_000)

/** Serves until the end of the test. `ended` has the result of each exchange, `errors` the reported errors. */
async function serving(t, handler, options) {
  const gateway = await scriptedGateway({
    transports: ['json', 'ndjson', 'framed'],
    limits: { framedInlineBytes: 262_144 },
  })
  const claim = await serve(handler, { gateway: gateway.origin, drainMs: 0, ...options })
  const ended = []
  const errors = []
  claim.addEventListener('exchange', (e) => ended.push(e.result))
  claim.addEventListener('error', (e) => errors.push(e.error.code))
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  let n = 0
  /** Delivers a request, and returns the messages of its answer once it has ended. */
  async function exchange(members) {
    const id = `x${++n}`
    await gateway.tell({ cursor: `s${n}`, ...request(id, members) })
    await until(() => ended.length === n, `the end of ${id}`)
    return gateway.seen.answers.filter((a) => a.id === id)
  }
  return { gateway, claim, ended, errors, exchange }
}

const contentOf = ({ body, bodyBase64 }) =>
  Buffer.from(body ?? bodyBase64 ?? '', bodyBase64 && 'base64')
const headOf = (length) => ({
  type: 'response',
  id: 'x1',
  status: 201,
  headers: [
    ['x-a', '1'],
    ['content-length', `${length}`],
  ],
  contentLength: length,
})
const init = { status: 201, headers: { 'X-A': '1' } }

for (const [what, make, content] of [
  ['a Blob', () => new Blob([all]), all],
  ['a File', () => new File([all], 'name'), all],
  ['bytes', () => new Uint8Array(all), all],
  ['a part of a buffer', () => new Uint8Array(all).subarray(1), all.subarray(1)],
  ['a buffer', () => new Uint8Array(all).buffer, all],
  ['a text', () => text, Buffer.from(text)],
]) {
  test(`${what} goes in one message, with its length`, async (t) => {
    const { gateway, ended, exchange } = await serving(t, () => {
      const response = new Response(make(), init)
      response.headers.delete('Content-Type')
      return response
    })
    const [answer, ...others] = await exchange()
    assert.deepEqual([gateway.seen.framed, others], [[headOf(content.length)], []])
    assert.ok(contentOf(answer).equals(content), 'it is not the same')
    assert.deepEqual(ended, ['accepted'])
  })
}

test('a Blob is passed to fetch without being read', async (t) => {
  const blob = new Blob([all])
  for (const name of ['arrayBuffer', 'bytes', 'slice', 'text']) {
    blob[name] = () => Promise.reject(new Error(`${name} was called`))
  }
  const bodies = []
  const fetch = (url, init) => {
    if (init.body?.size) bodies.push(init.body)
    return globalThis.fetch(url, init)
  }
  const { exchange, errors } = await serving(t, () => new Response(blob, init), { fetch })
  const [answer] = await exchange()
  assert.ok(contentOf(answer).equals(all), 'it is not the same')
  assert.deepEqual([bodies.length, errors], [1, []])
})

test('a length that the handler sets is sent once', async (t) => {
  const headers = { 'X-A': '1', 'Content-Length': `${size}` }
  const { gateway, exchange } = await serving(
    t,
    () => new Response(new Blob([all]), { ...init, headers }),
  )
  await exchange()
  assert.deepEqual(gateway.seen.framed, [headOf(size)])
})

test('short content goes in the envelope', async (t) => {
  const { exchange } = await serving(t, () => new Response(new Blob([all.subarray(5e5)])))
  const [answer, ...others] = await exchange()
  assert.ok(contentOf(answer).equals(all.subarray(5e5)), 'it is not the same')
  assert.deepEqual([answer.headers, others], [[], []])
})

test('the answer to HEAD has the length', async (t) => {
  const { exchange } = await serving(t, () => new Response(new Blob([all]), init))
  const { contentLength, ...head } = headOf(size)
  assert.deepEqual(await exchange({ method: 'HEAD' }), [head])
})

test('the content of a Response can be used once', async (t) => {
  const response = new Response(new Blob([all]))
  const { exchange, errors } = await serving(t, () => response)
  await exchange()
  assert.equal((await exchange())[0].status, 500)
  assert.deepEqual(errors, ['handler_failed'])
})

test('a stream is not delayed until its end, whatever its Content-Length', async (t) => {
  let controller
  const stream = new ReadableStream({ start: (c) => void (controller = c) })
  const headers = { 'Content-Length': '1000000' }
  const { gateway } = await serving(t, () => new Response(stream, { headers }))
  await gateway.tell({ cursor: 's1', ...request('x1') })
  await until(() => controller)
  controller.enqueue(new Uint8Array(10))
  await until(() => gateway.seen.answers.some((a) => a.bodyBase64 || a.body))
  assert.deepEqual(gateway.seen.answers[0].headers, [['content-length', '1000000']])
})

test('if an intermediary refuses the request, the content goes in parts, and so does the next of that size', async (t) => {
  let refused = 0
  const fetch = (url, init) => {
    if (!(init.body?.size > 500_000)) return globalThis.fetch(url, init)
    refused++
    return Promise.resolve(new Response('<h1>413</h1>', { status: 413 }))
  }
  const blob = new Blob([all])
  const { ended, errors, exchange } = await serving(
    t,
    (r) => new Response(r.url.endsWith('/less') ? blob.slice(0, 400_000) : blob),
    { fetch },
  )
  for (let i = 0; i < 2; i++) {
    const messages = await exchange()
    assert.ok(Buffer.concat(messages.map(contentOf)).equals(all), 'it is not the same')
    assert.ok(messages.length > 2, `${messages.length} messages`)
  }
  const [less] = await exchange({ target: '/less' })
  assert.equal(contentOf(less).length, 400_000)
  assert.deepEqual([refused, errors, ended], [1, [], ['accepted', 'accepted', 'accepted']])
})

test('if it is cut midway, and parts would be too late, the visitor and the program get an error', async (t) => {
  let tried = 0
  const { gateway, ended, errors, exchange } = await serving(t, () => {
    gateway.script('framed', (req) => {
      tried++
      gateway.script('responses', { json: { results: [{ status: 'conflict' }] }, status: 202 })
      req.once('data', () => req.socket.destroy())
    })
    return new Response(new Blob([all]))
  })
  await exchange()
  assert.deepEqual([ended, errors], [['conflict'], ['network']])
  // The intermediary was not the reason, so the next content is sent in one request again.
  await gateway.tell({ cursor: 's9', ...request('x9') })
  await until(() => tried === 2)
})

test('the answer of the gateway is the result', async (t) => {
  const { gateway, ended, errors, exchange } = await serving(t, () => {
    gateway.script('framed', (req, res) => {
      req.resume()
      res
        .writeHead(202, { 'Content-Type': 'application/json' })
        .end('{"results":[{"status":"late"}]}')
    })
    return new Response(new Blob([all]))
  })
  await exchange()
  assert.deepEqual([ended, errors], [['late'], []])
})

test('it ends when its visitor leaves', async (t) => {
  let begun, closed
  const { gateway, exchange } = await serving(t, () => {
    gateway.script('framed', (req) => {
      req.on('data', () => (begun = true))
      req.socket.on('close', () => (closed = true))
    })
    return new Response(new Blob([all, all, all, all]))
  })
  const messages = exchange()
  await until(() => begun)
  await gateway.tell({ cursor: 's2', type: 'cancel', id: 'x1', reason: 'visitor_gone' })
  await until(() => closed)
  assert.equal((await messages).length, 0)
})

test('Response is unchanged for other code', async (t) => {
  await serving(t, () => new Response())
  class Own extends Response {}
  const blob = new Blob([all])
  for (const response of [new Response(blob), new Own(blob), Response.json({}), Response.error()]) {
    assert.ok(response instanceof Response)
  }
  assert.ok(new Own(blob) instanceof Own)
  assert.ok(Buffer.from(await new Own(blob).clone().arrayBuffer()).equals(all))
  assert.ok((await fetch('data:,x')) instanceof Response)
})
