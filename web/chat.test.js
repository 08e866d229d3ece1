// A chat: who receives what, by events and by sockets, and the bounds for strangers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chatHandler } from './pages/chat-handler.js'
import {
  mostJoins,
  mostKept,
  mostKeptText,
  mostMembers,
  mostOfOne,
  nameOf,
  Room,
} from './pages/chat-room.js'
import { parseEvents } from './pages/events.js'
import { Pulse } from './pages/pulse.js'

const base = 'http://ann.localhost:8080/'
const json = { 'Content-Type': 'application/json' }

/** A chat whose visitors are gone after the test. */
function chat(t) {
  let now = 1_000_000
  const room = new Room(
    () => {},
    () => now,
  )
  const pulse = new Pulse(() => now)
  const listen = pulse.listen.bind(pulse)
  pulse.listen = (listener) => {
    const end = listen(listener)
    t.after(end)
    return end
  }
  const handler = chatHandler(room, pulse, 'run()')
  const send = (
    path,
    { method = 'GET', headers = {}, content = '', from = '192.0.2.1:5', upgrade } = {},
  ) => {
    const url = new URL(path, base).href
    const request = new Request(url, { method, headers, ...(content && { body: content }) })
    const bytes = new TextEncoder().encode(content)
    return handler(request, { method, url, base, content: bytes, remoteAddr: from, upgrade })
  }
  const post = (content, headers = {}, more = {}) =>
    send('/messages', { method: 'POST', content, headers, ...more })
  return { room, pulse, send, post, pass: (ms) => (now += ms) }
}

/** Collects the received part of a response that does not end. */
function ear(response) {
  const reader = response.body.getReader()
  const all = { text: '', leave: () => reader.cancel() }
  const read = async () => {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      all.text += new TextDecoder().decode(value)
    }
  }
  void read()
  return all
}

/** Waits until what was written is read: streams take some turns of the loop for that. */
async function until(so) {
  while (!so()) await new Promise((resolve) => setImmediate(resolve))
}

test('what is said comes as events, also what was said before', async (t) => {
  const { send, post } = chat(t)
  assert.equal((await post('{"from":"ann","text":"hello"}', json)).status, 201)
  const response = send('/events?name=bo')
  assert.equal(response.headers.get('Content-Type'), 'text/event-stream')
  const heard = ear(response)
  await until(() => heard.text.includes('event: here'))
  const events = parseEvents(heard.text)
  assert.deepEqual(
    events.map(({ event, data, id }) => [event, id, JSON.parse(data).text ?? JSON.parse(data)]),
    [
      ['said', '1', 'hello'],
      ['here', '1', [{ name: 'bo', by: 'events' }]],
    ],
  )
})

test('a visitor who comes back gets what they missed', async (t) => {
  const { send, post } = chat(t)
  for (const text of ['one', 'two', 'three']) post(text)
  const heard = ear(send('/events', { headers: { 'Last-Event-ID': '2' } }))
  await until(() => heard.text.includes('event: here'))
  const events = parseEvents(heard.text)
  assert.deepEqual(
    events.filter(({ event }) => event === 'said').map(({ data }) => JSON.parse(data).text),
    ['three'],
  )
})

test('where it is quiet something is sent, and nothing once the visitor left', async (t) => {
  const { room, pulse, send, pass } = chat(t)
  const heard = ear(send('/events'))
  await until(() => heard.text.includes('event: here'))
  pass(14_000)
  pulse.beat()
  pass(2_000)
  pulse.beat()
  await until(() => heard.text.endsWith(': still here\n\n'))
  assert.equal(heard.text.split('still here').length, 2)
  await heard.leave()
  assert.equal(room.members.size, 0)
  pass(16_000)
  pulse.beat()
})

test('a visitor who reads nothing is let go', async (t) => {
  const { room, send } = chat(t)
  const response = send('/events')
  assert.equal(room.members.size, 1)
  for (let i = 0; i < 400; i++) room.say({ from: 'ann', text: `${i}`, host: true })
  assert.equal(room.members.size, 0)
  await assert.rejects(response.text(), /reads nothing/)
})

test('JSON, forms and plain text are messages', async (t) => {
  const { room, post } = chat(t)
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
  post('{"from":"a","text":"1"}', json)
  post('from=b&text=2', form)
  post('3', form)
  post('4')
  assert.deepEqual(
    room.said.map(({ from, text }) => `${from}: ${text}`),
    ['a: 1', 'b: 2', 'somebody: 3', 'somebody: 4'],
  )
})

test('invalid messages are refused, and nobody gets them', async (t) => {
  const { room, post, send } = chat(t)
  assert.equal(post('{', json).status, 400)
  assert.equal(post('null', json).status, 400)
  assert.equal(post('  ').status, 400)
  assert.equal(post('a'.repeat(2_001)).status, 413)
  const padded = JSON.stringify({ text: 'a', more: 'a'.repeat(20_000) })
  assert.equal(post(padded, json).status, 413)
  assert.equal(send('/messages', { method: 'DELETE' }).status, 405)
  assert.equal(send('/other').status, 404)
  assert.equal(send('/socket').status, 426)
  assert.equal(room.said.length, 0)
})

test('one network says ten things in ten seconds, and others go on', async (t) => {
  const { post, pass } = chat(t)
  for (let i = 0; i < 10; i++) assert.equal(post(`${i}`).status, 201)
  const refused = post('one more')
  assert.equal(refused.status, 429)
  assert.equal(refused.headers.get('Retry-After'), '10')
  assert.equal(post('mine', {}, { from: '192.0.2.2:1' }).status, 201)
  pass(10_000)
  assert.equal(post('again').status, 201)
})

test('so many come in, and not all of them from one network', async (t) => {
  const { room, send } = chat(t)
  for (let i = 0; i < mostOfOne; i++) assert.equal(send('/events').status, 200)
  const refused = send('/events')
  assert.equal(refused.status, 503)
  assert.ok(refused.headers.get('Retry-After'))
  for (let i = 0; i < 100; i++) send('/events', { from: `192.0.2.${i + 2}:1` })
  assert.equal(room.members.size, mostMembers)
  for (let i = 0; i < mostKept + 5; i++) room.say({ from: 'ann', text: `${i}`, host: true })
  assert.equal(room.said.length, mostKept)
})

test('a socket sends and receives, and gets the reason of a refusal', async (t) => {
  const { room, send } = chat(t)
  const sent = []
  const socket = {
    bufferedAmount: 0,
    send: (text) => sent.push(JSON.parse(text)),
    close: (code) => sent.push(code),
  }
  room.say({ from: 'host', text: 'welcome', host: true })
  assert.equal(send('/socket?name=bo', { upgrade: () => socket }), undefined)
  socket.onmessage({ data: '{"text":"hi"}' })
  socket.onmessage({ data: ' ' })
  assert.deepEqual(
    sent.map(({ type, said, why }) => said?.text ?? why ?? type),
    ['welcome', 'here', 'hi', 'Say something: the content is the text, or JSON with "text".'],
  )
  assert.equal(room.said[1].from, 'bo')
  // One that reads nothing.
  socket.bufferedAmount = 2 << 20
  room.say({ from: 'host', text: 'still there?', host: true })
  assert.equal(sent.at(-1), 1008)
  assert.equal(room.members.size, 0)
})

test('a socket that goes on with what is refused is let go, however little it takes', async (t) => {
  const { room, send } = chat(t)
  let sent = 0
  let closed
  const socket = { bufferedAmount: 0, send: () => sent++, close: (code) => (closed = code) }
  send('/socket', { upgrade: () => socket })
  for (let i = 0; i < 10_000; i++) socket.onmessage({ data: i % 2 ? new ArrayBuffer(2) : ' ' })
  assert.equal(closed, 1008)
  assert.equal(room.members.size, 0)
  assert.ok(sent < 30, `${sent} messages`)
})

test('who comes and goes makes little noise', async (t) => {
  const { room, send, pass } = chat(t)
  const heard = []
  const member = (address) => ({
    name: 'a',
    by: 'events',
    address,
    hear: (type) => heard.push(type),
  })
  room.join(member('198.51.100.1'))
  heard.length = 0
  let came = 0
  for (let i = 0; i < 100; i++) {
    const response = send('/events')
    if (response.status === 200) came++
    else assert.equal(response.status, 429)
    await response.body.cancel()
  }
  assert.equal(came, mostJoins)
  assert.deepEqual(heard, [])
  pass(1_000)
  room.tellWho()
  room.tellWho()
  assert.deepEqual(heard, ['here'])
})

test('what is kept is bounded as a whole, and has no control characters', (t) => {
  const { room } = chat(t)
  const say = (text) => room.say({ from: 'ann', text, host: true })
  assert.equal(say('a\u0000\u001b[1m\tb\nc').text, 'a[1m\tb\nc')
  for (let i = 0; i < mostKept; i++) say('x'.repeat(2_000))
  assert.equal(room.said.length, mostKeptText / 2_000)
})

test('the page of a visitor runs one script, and may ask its own chat only', async (t) => {
  const { send } = chat(t)
  const response = send('/')
  const policy = response.headers.get('Content-Security-Policy')
  const nonce = /'nonce-([0-9a-f]{32})'/.exec(policy)[1]
  assert.ok((await response.text()).includes(`<script nonce="${nonce}">\nrun()</script>`))
  assert.match(policy, /connect-src http:\/\/ann\.localhost:8080 ws:\/\/ann\.localhost:8080 /)
  assert.doesNotMatch(policy, /unsafe-eval|script-src[^;]*unsafe/)
})

test('a name is one line', () => {
  assert.equal(nameOf(' a\n b\u0000 '), 'a b')
  assert.equal(nameOf('\u202etsoh\u2066'), 'tsoh')
  assert.equal(nameOf('x'.repeat(99)).length, 40)
  for (const none of ['', null, 5, ' ']) assert.equal(nameOf(none), 'somebody')
})
