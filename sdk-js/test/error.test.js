// Errors of handlers are in the console by default.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { serving } from './serving.js'

const fault = new Error('out of paper')
const fails = () => {
  throw fault
}

let said
beforeEach((t) => {
  said = []
  t.mock.method(console, 'error', (...of) => said.push(...of))
})

/** Serves a handler, and returns a function that delivers a request and waits for its 500. */
async function failing(t, handler = fails, options = {}) {
  const { claim, exchange } = await serving(t, handler, options)
  const visit = async () => assert.equal((await exchange({ target: '/print' })).status, 500)
  return { claim, visit }
}

test('a handler that throws is seen in the console', async (t) => {
  const { visit } = await failing(t)
  await visit()
  assert.deepEqual(
    said.map((e) => [e.code, e.message, e.cause]),
    [['handler_failed', 'GET /print: out of paper', fault]],
  )
})

for (const [what, handler] of [
  ['nothing', () => {}],
  ['a promise of nothing', async () => {}],
  ['a string', () => 'hello'],
]) {
  test(`a handler that gives ${what} is seen in the console`, async (t) => {
    const { visit } = await failing(t, handler)
    await visit()
    assert.deepEqual(
      said.map((e) => e.message),
      ['GET /print: no Response'],
    )
  })
}

test('while a listener listens, errors are not in the console', async (t) => {
  const { claim, visit } = await failing(t)
  const heard = []
  const listener = { handleEvent: (e) => heard.push(e.error) }
  claim.addEventListener('error', listener)
  claim.addEventListener('error', listener)
  await visit()
  claim.removeEventListener('error', listener)
  await visit()
  const first = function (e) {
    heard.push(this === claim && e.error)
  }
  claim.addEventListener('error', first, { once: true })
  await visit()
  await visit()
  assert.deepEqual(
    [heard, said].map((errors) => errors.map((e) => e.cause)),
    [
      [fault, fault],
      [fault, fault],
    ],
  )
})

test('a logger gets errors instead of the console', async (t) => {
  const told = []
  const { visit } = await failing(t, fails, { logger: { error: (e) => told.push(e.cause) } })
  await visit()
  assert.deepEqual([told, said], [[fault], []])
})

test('no logger means silence', async (t) => {
  const { visit } = await failing(t, fails, { logger: null })
  await visit()
  assert.deepEqual(said, [])
})

test('a claim that is lost is seen in the console', async (t) => {
  const { gateway, claim } = await serving(t, fails)
  await gateway.refuse(410, 'claim_deleted')
  await assert.rejects(claim.closed, { code: 'claim_deleted' })
  assert.deepEqual(
    said.map((e) => e.code),
    ['claim_deleted'],
  )
})
