import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { serving } from './serving.js'

const at = new URL('../../schema/vectors/waits.json', import.meta.url)
const { cases } = JSON.parse(await readFile(at, 'utf8'))
const handler = () => new Response('handler', { status: 418 })

describe('waitFor passes every case', () => {
  for (const c of cases) test(c.name, (t) => play(t, c))
})

async function play(t, { why, steps }) {
  const clock = fakeClock(
    t,
    steps.flatMap((s) => s.timeoutMs ?? []),
  )
  const { claim, exchange } = await serving(t, handler)
  let waiting
  for (const [
    i,
    { wait, timeoutMs, passMs, timedOut, request, received, waited },
  ] of steps.entries()) {
    const where = `step ${i}: ${why}`
    if (wait) {
      waiting = { over: undefined }
      const mine = waiting
      mine.promise = claim.waitFor(wait, timeoutMs ? { timeoutMs } : {}).then(
        (of) => (mine.over = of),
        (e) => (mine.over = e),
      )
      await import('../dist/wait.js') // it waits from then on
      await new Promise(setImmediate)
    } else if (passMs) {
      clock.pass(passMs)
      if (timedOut) assert.equal((await waiting.promise).name, 'TimeoutError', where)
      await new Promise(setImmediate)
      assert.equal(waiting.over !== undefined, !!timedOut, where)
    } else {
      const before = waiting?.over
      const { status, body, headers } = await exchange(sent(request))
      assert.equal(status, received.status, where)
      if (!waited) {
        assert.equal(waiting?.over, before, where)
        continue
      }
      const of = await waiting.promise
      assert.equal(of.method, request.method, where)
      assert.equal(of.url, `http://demo.localhost:8080${request.target}`, where)
      assert.equal(await of.text(), request.body ?? '', where)
      assert.match(body, /You can close this page/, where)
      assert.equal(new Map(headers).get('referrer-policy'), 'no-referrer', where)
    }
  }
}

function sent({ bodyRepeat, headers, ...of }) {
  const body = bodyRepeat ? { body: bodyRepeat.text.repeat(bodyRepeat.count) } : {}
  return { headers: [['Host', 'demo.localhost:8080'], ...headers], ...of, ...body }
}

/** Makes timers with these times fire when a test advances the time; others follow the clock. */
function fakeClock(t, timesMs) {
  const timers = new Set()
  let nowMs = 0
  const { setTimeout, clearTimeout } = globalThis
  globalThis.setTimeout = (fire, ms, ...of) => {
    if (!timesMs.includes(ms)) return setTimeout(fire, ms, ...of)
    const timer = { fire, atMs: nowMs + ms }
    timers.add(timer)
    return timer
  }
  globalThis.clearTimeout = (timer) => void (timers.delete(timer) || clearTimeout(timer))
  t.after(() => Object.assign(globalThis, { setTimeout, clearTimeout }))
  return {
    pass(ms) {
      nowMs += ms
      for (const timer of [...timers]) {
        if (timer.atMs > nowMs) continue
        timers.delete(timer)
        timer.fire()
      }
    },
  }
}

test('a program can choose the request with accept, and answer it', async (t) => {
  const { claim, exchange } = await serving(t, handler)
  const waiting = claim.waitFor('/cb', {
    accept: (request) => new URL(request.url).searchParams.get('state') === 'mine',
    respond: () => new Response('thanks', { status: 201 }),
  })
  await import('../dist/wait.js')
  assert.equal((await exchange({ target: '/cb?state=other' })).status, 404)
  const answer = await exchange({ target: '/cb?state=mine' })
  assert.deepEqual([answer.status, answer.body], [201, 'thanks'])
  assert.equal((await waiting).url, 'http://demo.localhost:8080/cb?state=mine')
})

test('an abort, the end of the claim, and a second wait for the same path end a wait', async (t) => {
  const { claim, exchange } = await serving(t, handler)
  const controller = new AbortController()
  const aborted = claim.waitFor('/a', { signal: controller.signal })
  const other = claim.waitFor('/b')
  await assert.rejects(claim.waitFor('/b'), TypeError)
  controller.abort(new Error('not wanted'))
  await assert.rejects(aborted, { message: 'not wanted' })
  await assert.rejects(claim.waitFor('/a', { signal: controller.signal }), {
    message: 'not wanted',
  })
  assert.equal((await exchange({ target: '/a' })).status, 404)
  const closed = assert.rejects(other, { name: 'AbortError' })
  await claim.close()
  await closed
})
