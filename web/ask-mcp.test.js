// Agents that ask a person by MCP, while time passes and others ask too. e2e has clients of the SDK.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askMcp } from './pages/ask-mcp.js'
import { Pulse } from './pages/pulse.js'
import { askHandler, mostOfOne, Questions } from './pages/questions.js'
import * as sdk from './vendor/mcp.js'

const base = 'http://ann.localhost:8080/'
const headers = {
  'Content-Type': 'application/json',
  Accept: 'application/json, text/event-stream',
}

/** A person's page, whose time passes when the test says so. */
function page() {
  let now = 0
  const pulse = new Pulse(() => now)
  const ended = []
  const questions = new Questions(
    ({ state, text }) => state !== 'waiting' && ended.push([text, state]),
    () => now,
  )
  const handler = askHandler(questions, askMcp(sdk, pulse, questions))
  const send = (message, { from = '192.0.2.1:5', signal = new AbortController().signal } = {}) => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    const request = new Request(`${base}mcp`, { method: 'POST', headers, body, signal })
    const content = new TextEncoder().encode(body)
    const info = { method: 'POST', base, content, remoteAddr: from, timeoutMs: 600_000, signal }
    return handler(request, { ...info, headers: Object.entries(headers), body: null })
  }
  const ask = (question, { id = 1, _meta, ...more } = {}) =>
    send(
      { id, method: 'tools/call', params: { name: 'ask_human', arguments: { question }, _meta } },
      more,
    )
  const pass = (ms) => {
    now += ms
    pulse.beat()
  }
  return { questions, ended, ask, send, pass }
}

/** Waits until as many questions are there, and returns them. */
async function waiting(questions, many = 1) {
  for (;;) {
    const all = questions.waiting()
    if (all.length >= many) return all
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const decode = (bytes) => new TextDecoder().decode(bytes)

/** The result of a call whose answer is events. */
async function resultOf(response) {
  const events = await response.text()
  return JSON.parse(events.match(/^data: (.*"id".*)$/m)[1]).result
}

test('a waiting client gets signs of life, and progress if it asks for it', async () => {
  const { questions, ask, pass } = page()
  const response = await ask('Lunch?', { _meta: { progressToken: 7 } })
  const [question] = await waiting(questions)
  const reader = response.body.getReader()
  const first = reader.read()
  pass(9_000)
  pass(1_000)
  assert.match(decode((await first).value), /"notifications\/progress".*"progressToken":7/)
  const silent = await ask('And now?', { id: 2 })
  const quiet = silent.body.getReader()
  const comment = quiet.read()
  pass(14_000)
  pass(1_000)
  assert.equal(decode((await comment).value), ': still here\n\n')
  await quiet.cancel()
  questions.end(question.id, 'answered', 'Yes')
  let rest = ''
  for (let read; !(read = await reader.read()).done;) rest += decode(read.value)
  assert.match(rest, /"text":"Yes"/)
})

test('a question that nobody answers ends, also where timers are late', async () => {
  const { questions, ended, ask, pass } = page()
  const response = await ask('Anybody?')
  await waiting(questions)
  pass(600_000)
  questions.waiting() // as the page does with each beat
  const { isError, content } = await resultOf(response)
  assert.equal(isError, true)
  assert.match(content[0].text, /^Nobody answered in time/)
  assert.deepEqual(ended, [['Anybody?', 'expired']])
})

test('a client of before 2026-07-28 takes back what it asked, and nothing else', async () => {
  const { questions, ended, ask, send } = page()
  const cancelled = (requestId, of) =>
    send({ method: 'notifications/cancelled', params: { requestId } }, of)
  const asked = [ask('One?', { id: 1 }), ask('Two?', { id: 2 })]
  await waiting(questions, 2)
  await cancelled(1, { from: '192.0.2.9:5' })
  await cancelled(3)
  assert.deepEqual(ended, [])
  assert.equal((await cancelled(1)).status, 202)
  assert.deepEqual(ended, [['One?', 'left']])
  // Two agents of one address that count alike: either could be meant.
  asked.push(ask('Another two?', { id: 2 }))
  await waiting(questions, 2)
  await cancelled(2)
  assert.deepEqual(ended, [['One?', 'left']])
  questions.close()
  for (const response of asked) assert.equal((await resultOf(await response)).isError, true)
})

test('one address asks only so many at a time', async () => {
  const { questions, ask } = page()
  const asked = Array.from({ length: mostOfOne }, (_, id) => ask(`Number ${id}?`, { id }))
  await waiting(questions, mostOfOne)
  const { isError, content } = await resultOf(await ask('One more?', { id: 99 }))
  assert.equal(isError, true)
  assert.match(content[0].text, /^Too many/)
  questions.close()
  await Promise.all(asked.map(async (response) => resultOf(await response)))
})

test('a page that lets go of the URL says so', async () => {
  const { questions, ask } = page()
  const response = await ask('Still there?')
  await waiting(questions)
  questions.close()
  assert.match((await resultOf(response)).content[0].text, /^The person closed the page/)
})
