// After an exchange its objects are garbage, and its signal aborts only if something went wrong.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { serve } from './built.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'
import { closing, connect, frame } from './visitor-socket.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc')

const [text, close] = [1, 8]
const exchanges = 8
const streamed = { method: 'POST', bodyUrl: '{origin}/content' }
const long = { status: 200, body: 'x'.repeat(100_000) }

/** Weak references to all AbortControllers. */
const controllers = []
const Plain = AbortController
globalThis.AbortController = class AbortController extends Plain {
  constructor() {
    super()
    controllers.push(new WeakRef(this))
  }
}

/** A stream that refers to its request, like those of handlers. */
function stream(request, chunks, end) {
  return new ReadableStream(
    {
      async pull(c) {
        await new Promise((resolve) => setTimeout(resolve, 1))
        if (chunks-- > 0) c.enqueue(new TextEncoder().encode(`${request.url} `))
        else return end ? end() : c.close()
      },
    },
    { highWaterMark: 0 },
  )
}
const never = () => new Promise(() => {})
const failing = () => Promise.reject(new Error('out of paper'))

const leave = (gateway, id) => gateway.deliver({ type: 'cancel', id, reason: 'visitor_gone' })

// The courses of an exchange. If one `aborts`, its signal must abort.
const kinds = {
  'a whole answer': { handle: (request) => new Response(request.url) },
  'an answer after early hints': {
    handle: (request, info) => {
      info.earlyHints([['Link', '</a.css>; rel=preload']])
      return new Response(request.url)
    },
  },
  'an answer that streams': { handle: (request) => new Response(stream(request, 30)) },
  'an answer of much content': {
    handle: (request) => new Response(new Blob([request.url, new Uint8Array(1 << 20)]).stream()),
  },
  'an answer to HEAD whose content streams': {
    members: { method: 'HEAD' },
    handle: (request) => new Response(stream(request, 1, never)),
  },
  'content that comes and goes': {
    members: streamed,
    content: long,
    handle: (request) => new Response(request.body),
  },
  'content that is read': {
    members: streamed,
    content: long,
    handle: async (request) => new Response((await request.text()).slice(10)),
  },
  'content that nobody asks for': {
    members: streamed,
    handle: (request) => new Response(request.url),
  },
  'content whose beginning is read': {
    members: streamed,
    content: (_, res) => {
      res.writeHead(200).write(long.body)
      return { silent: true }
    },
    handle: async (request) => new Response((await request.body.getReader().read()).value),
  },
  'a handler that fails': {
    handle: (request) => {
      throw new Error(request.url)
    },
  },
  'a stream that fails at once': {
    handle: (request) => new Response(stream(request, 0, failing)),
  },
  'a stream that fails in the middle': {
    handle: (request) => new Response(stream(request, 30, failing)),
    aborts: true,
  },
  'chunks that are not bytes': {
    handle: (request) =>
      new Response(new ReadableStream({ start: (c) => c.enqueue(request.url), cancel() {} })),
  },
  'a visitor who leaves': {
    handle: ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)),
    visit: leave,
    aborts: true,
  },
  'a visitor who leaves a stream': {
    handle: (request) => new Response(stream(request, 1, never)),
    visit: async (gateway, id) => {
      await until(() => gateway.seen.answers.some((a) => a.id === id))
      await leave(gateway, id)
    },
    aborts: true,
  },
}

for (const [name, { members, content, handle, visit, aborts }] of Object.entries(kinds)) {
  test(`nothing of ${name} is kept`, async (t) => {
    const { gateway, ended, checked } = await serving(t, handle)
    for (let i = 1; i <= exchanges; i++) {
      if (content) gateway.script('content', content)
      await gateway.deliver(request(`x${i}`, members))
      await visit?.(gateway, `x${i}`)
      await ended(i)
    }
    await checked(aborts ? exchanges : 0)
  })
}

// The courses of a WebSocket whose handler echoes.
const sockets = {
  'is closed by its visitor': { visit: (visitor) => visitor.send(frame(close, closing(1000))) },
  'is closed by the handler': {
    visit: async (visitor) => {
      await visitor.send(frame(text, 'close'))
      await visitor.send(frame(close, closing(1000)))
    },
  },
  'breaks the protocol': { visit: (visitor) => visitor.send(frame(3, 'x')) },
  'ends without a word': { visit: (visitor) => visitor.end(), aborts: true },
}

for (const [name, { visit, aborts }] of Object.entries(sockets)) {
  test(`nothing of a WebSocket that ${name} is kept`, async (t) => {
    const { gateway, ended, checked } = await serving(t, echo)
    for (let i = 1; i <= exchanges; i++) {
      const visitor = await connect(gateway, `x${i}`)
      await visitor.send(frame(text, 'hello'))
      await until(() => visitor.frames().length)
      await visit(visitor)
      await ended(i)
    }
    await checked(aborts ? exchanges : 0)
  })
}

function echo(_, info) {
  const socket = info.upgrade()
  socket.onmessage = ({ data }) => (data === 'close' ? socket.close(1000) : socket.send(data))
}

test('a handler that answers before all content has arrived ends the request for content', async (t) => {
  const { handle } = kinds['content whose beginning is read']
  const { gateway, ended } = await serving(t, handle)
  let closed
  gateway.script('content', (_, res) => {
    res.writeHead(200).write(long.body)
    res.on('close', () => (closed = true))
    return { silent: true }
  })
  await gateway.deliver(request('x1', streamed))
  await ended(1)
  await until(() => closed, 'the end of the request')
})

async function drain(reader) {
  while (!(await reader.read()).done);
}

test('reading content after the answer is an error, not its end', async (t) => {
  let rest
  const { gateway } = await serving(t, async (request) => {
    const reader = request.body.getReader()
    const { value } = await reader.read()
    rest = drain(reader)
    rest.catch(() => {})
    return new Response(value)
  })
  gateway.script('content', kinds['content whose beginning is read'].content)
  await gateway.deliver(request('x1', streamed))
  await until(() => Boolean(rest))
  await assert.rejects(rest, { name: 'AbortError' })
})

test('many WebSockets at a time cause no warning about a leak', async (t) => {
  const warnings = []
  const warn = ({ message }) => warnings.push(message)
  process.on('warning', warn)
  t.after(() => process.off('warning', warn))
  const { gateway, claim } = await serving(t, echo)
  const visitors = []
  for (let i = 1; i <= 12; i++) {
    visitors.push(await connect(gateway, `x${i}`))
    await visitors.at(-1).send(frame(text, 'hello'))
    await until(() => visitors.at(-1).frames().length)
  }
  const closed = claim.close()
  for (const visitor of visitors) {
    await until(() => visitor.frames().length === 2)
    assert.deepEqual(visitor.frames()[1], [close, 1001])
    await visitor.send(frame(close, closing(1001)))
  }
  await closed
  assert.deepEqual(warnings, [])
})

/** Serves a handler, and keeps weak references to the objects of its exchanges. */
async function serving(t, handle) {
  const gateway = await scriptedGateway()
  controllers.length = 0
  const kept = []
  const count = { aborted: 0, ended: 0 }
  const claim = await serve(
    (request, info) => {
      for (const of of [request, info, info.signal]) kept.push(new WeakRef(of))
      info.signal.addEventListener('abort', () => count.aborted++)
      return handle(request, info)
    },
    { gateway: gateway.origin, drainMs: 2_000, logger: null },
  )
  claim.addEventListener('exchange', () => count.ended++)
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  await until(() => gateway.parked)
  // Those of the poll and the claim, and perhaps some of the few for claiming.
  const before = live(controllers).length
  const ended = (n) => until(() => count.ended === n, `the end of ${n}`)
  /** Waits until all of these objects are garbage. */
  async function checked(aborted) {
    assert.equal(kept.length, 3 * exchanges)
    const left = () => {
      gc()
      return [...live(kept), ...live(controllers).slice(before)]
    }
    await until(() => !left().length).catch(() => assert.deepEqual(left(), []))
    assert.equal(count.aborted, aborted)
  }
  return { gateway, claim, ended, checked }
}

/** Returns the names of the objects that are not garbage yet. */
function live(refs) {
  return refs.flatMap((ref) => ref.deref()?.constructor.name ?? [])
}
