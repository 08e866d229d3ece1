import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { serve } from './built.js'
import { scriptedGateway, until } from './scripted-gateway.js'

const file = new URL('../../schema/vectors/client.json', import.meta.url)
const { cases } = JSON.parse(await readFile(file, 'utf8'))

/** How long a link has before a poll runs beside it, in milliseconds. */
const headStartMs = 250
/** How long a script may run if its link connected, or its stream began, later than the SDK waits. */
const afterLateMs = 5_000

/** Returns a WebSocket class whose events are tasks of their own. It calls `late` if one connects late. */
function likeBrowsers(late) {
  return class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { allowSynchronousEvents: false })
      const sinceMs = performance.now()
      this.on('open', () => performance.now() - sinceMs > headStartMs && late())
    }
  }
}

const streams = ({ gateway }) => gateway.transports?.includes('ndjson')

describe('a session follows every script', { concurrency: 16 }, () => {
  for (const c of cases) test(c.name, { timeout: 900_000 }, () => play(c, 600_000))
})

describe('a session follows every script in the framed form', { concurrency: 16 }, () => {
  for (const c of cases.filter(streams))
    test(c.name, { timeout: 180_000 }, () => play(framed(c), 150_000))
})

/** Returns the case with a gateway that speaks the framed form. */
function framed({ gateway, expect, ...c }) {
  const limits = { ...gateway.limits, framedInlineBytes: 262_144 }
  const forms = expect.forms?.map((form) => (form === 'ndjson' ? 'framed' : form))
  return { ...c, gateway: { ...gateway, limits }, expect: { ...expect, forms } }
}

/**
 * Plays a script. It fails, and says what differs, before the test's own time is over. Scripts take it that a link
 * connects within its head start, and a stream begins within 4 s: if this machine was too busy for that and something
 * differs, it is played again.
 */
async function play(c, withinMs) {
  for (const endMs = Date.now() + withinMs; ;) {
    const { error, late } = await playOnce(c, endMs)
    if (!error) return
    if (!late || Date.now() >= endMs) throw error
  }
}

/** Plays a script until everything expected has happened, and a little longer to see that nothing else does. */
async function playOnce({ why, options, handler, gateway: script, expect }, endMs) {
  const gateway = await scriptedGateway(script)
  const seen = Object.assign(gateway.seen, {
    handled: [],
    paths: [],
    replays: [],
    traces: [],
    cancelled: [],
    states: [],
    error: undefined,
  })
  let closing = false
  let lateMs = Infinity
  const answer = async (request, info) => {
    seen.handled.push(info.id)
    const { pathname, search } = new URL(request.url)
    seen.paths.push(pathname + search)
    if (info.replayOf) seen.replays.push(info.replayOf)
    if (info.trace) seen.traces.push(Object.values(info.trace).join(' '))
    const cancelled = () => {
      if (!closing && !seen.cancelled.includes(info.id)) seen.cancelled.push(info.id)
    }
    if (handler?.chunks) return streamed(handler, info, gateway.seen, cancelled)
    if (handler?.echoes) return new Response(await request.text())
    if (handler?.fails) throw new Error('as the script says')
    if (handler?.waits) {
      await new Promise((resolve) => request.signal.addEventListener('abort', resolve))
      cancelled()
    }
    if (handler?.hints) info.earlyHints(handler.hints)
    return response(handler, info)
  }
  let claim
  try {
    claim = await serve(answer, {
      gateway: gateway.origin,
      WebSocket: likeBrowsers(() => (lateMs = Math.min(lateMs, Date.now()))),
      drainMs: 0,
      logger: null,
      ...options,
    })
    seen.states.push(claim.state)
    claim.addEventListener('statechange', () => seen.states.push(claim.state))
    claim.closed.catch((e) => (seen.error = e.code))
  } catch (e) {
    seen.error = e.code
  }
  try {
    const differs = () => {
      // The SDK asks for batches once a stream has no byte within 4 s.
      if (
        streams({ gateway: script }) &&
        !expect.forms?.includes('json') &&
        seen.forms.includes('json')
      )
        lateMs = Math.min(lateMs, Date.now())
      return fault(expect, seen)
    }
    const stopMs = () => Math.min(endMs, lateMs + afterLateMs)
    while (differs() && Date.now() < stopMs()) await sleep(10)
    await sleep(300)
    const e = differs()
    const error = e && new Error(`${why}: ${e.message}`, { cause: e })
    return { error, late: lateMs < Infinity }
  } finally {
    closing = true
    await claim?.close()
    await gateway.close()
  }
}

function response({ status = 200, headers = [], body, bodyBase64 } = {}, info) {
  const content = bodyBase64
    ? Buffer.from(bodyBase64, 'base64')
    : new TextEncoder().encode(body ?? '')
  // Adds what a Response cannot express.
  for (const [name, value] of headers) info.responseHeaders.push([name, value])
  return new Response(content.length ? content : null, { status })
}

/** Sends the chunks of the script, each after the gateway has received the previous one. */
function streamed({ chunks, fails, waits, ...head }, info, { answers }, cancelled) {
  let n = 0
  info.signal.addEventListener('abort', cancelled)
  const content = new ReadableStream({
    async pull(controller) {
      const last = chunks[n - 1]
      if (n) await until(() => answers.some((a) => a.id === info.id && a.body === last), last)
      if (n < chunks.length) return controller.enqueue(new TextEncoder().encode(chunks[n++]))
      if (fails) throw new Error('as the script says')
      if (!waits) controller.close()
    },
    cancel: cancelled,
  })
  const { status } = response(head, info)
  return new Response(content, { status })
}

function fault(want, got) {
  try {
    assert.equal(got.error ?? got.fault, want.error, 'error')
    assert.ok((got.pongs ?? 0) >= (want.pongs ?? 0), `${got.pongs} pongs`)
    inOrder(want.acked ?? [], got.acked)
    for (const name of ['polls', 'forms', 'states', 'contents', 'links'])
      if (want[name]) assert.deepEqual(got[name], want[name], name)
    for (const name of ['handled', 'paths', 'replays', 'traces', 'cancelled']) {
      // Exchanges run concurrently.
      if (want[name]) assert.deepEqual([...got[name]].sort(), [...want[name]].sort(), name)
    }
    if (want.claims) match(want.claims, got.claims, '/claims')
    if (want.answers) {
      match(byId(want.answers).map(bare), byId(got.answers), '/answers')
      byId(want.answers).forEach((a, i) =>
        fields(a.headers ?? [], byId(got.answers)[i].headers ?? []),
      )
    }
  } catch (e) {
    return e
  }
  return undefined
}

/** Everything wanted must have been seen, in this order. */
function inOrder(want, got) {
  let at = 0
  for (const cursor of want) {
    const found = got.indexOf(cursor, at)
    assert.ok(found >= 0, `acked: ${got}, want ${want} among them`)
    at = found + 1
  }
}

const byId = (messages) => [...messages].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))

const bare = ({ headers: _, ...rest }) => rest

/** Every member named must be equal; "*" is anything present, null is absent. */
function match(want, got, at) {
  if (want === '*') return assert.notEqual(got, undefined, at)
  if (want === null) return assert.equal(got, undefined, at)
  if (typeof want !== 'object') return assert.equal(got, want, at)
  assert.equal(typeof got, 'object', at)
  if (Array.isArray(want)) assert.equal(got.length, want.length, `${at}: ${JSON.stringify(got)}`)
  for (const [name, w] of Object.entries(want)) match(w, got[name], `${at}/${name}`)
}

/** Every field wanted must be present, in order among the fields of its name. */
function fields(want, got) {
  const of = (list, name) => list.filter((f) => f[0].toLowerCase() === name).map((f) => f[1])
  for (const name of new Set(want.map((f) => f[0].toLowerCase()))) {
    assert.deepEqual(of(got, name), of(want, name), name)
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
