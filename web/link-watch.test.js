import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { LinkWatch, recordedIn } from './pages/link-watch.js'

/** @param {string} id */
const told = (id) => ({ type: 'recorded', change: `c-${id}`, exchange: { id } })
const line = (/** @type {object} */ message) => JSON.stringify(message) + '\n'
const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text)

class Socket extends EventTarget {
  /** @type {string[]} */
  sent = []

  /** @param {string} text */
  send(text) {
    this.sent.push(text)
  }

  /** @param {string | ArrayBuffer} data */
  receive(data) {
    this.dispatchEvent(Object.assign(new Event('message'), { data }))
  }
}

const platform = globalThis.WebSocket
beforeEach(() => void (globalThis.WebSocket = /** @type {any} */ (Socket)))
afterEach(() => void (globalThis.WebSocket = platform))

test('recordings are found among other messages, with content beside them or not', () => {
  const text =
    '\n' +
    line(told('a')) +
    line({ type: 'request', headers: [['X', '"contentLength":9']], contentLength: 25 }) +
    '{"type":"recorded"}\n12345' +
    '\n' +
    line({ type: 'ping' }) +
    line(told('b'))
  const ids = [...recordedIn(bytes(text))].map(({ exchange }) => exchange?.id)
  assert.deepEqual(ids, ['a', 'b'])
})

test('what is not in the framed form ends it', () => {
  for (const text of ['{"type":"recorded"', '{"contentLength":', '{"contentLength"\n', '\xff']) {
    assert.deepEqual([...recordedIn(bytes(text))], [])
  }
})

test('a listener gets changes from the welcome on, and continues after the link was reopened', () => {
  const watch = new LinkWatch()
  /** @type {string[]} */
  const heard = []
  let change = ''
  const listener = {
    change: () => change,
    told: (/** @type {any} */ event) => {
      change = event.change
      heard.push(event.cleared ? 'cleared' : event.exchange.id)
    },
    opened: () => heard.push('opened'),
    closed: () => heard.push('closed'),
  }
  watch.listen(listener)
  const open = () => /** @type {any} */ (new /** @type {any} */ (watch.WebSocket)('ws://a/'))
  const first = open()
  first.receive(bytes(line(told('early'))).buffer)
  assert.deepEqual(first.sent, [])
  first.receive('{"type":"welcome","limits":{}}')
  assert.deepEqual(first.sent, ['{"type":"watch"}'])
  first.receive(bytes(line(told('a'))).buffer)
  first.receive(JSON.stringify(told('b')))
  first.receive(JSON.stringify({ type: 'recorded', change: 'c-3', cleared: true }))
  first.dispatchEvent(new Event('close'))
  first.receive(JSON.stringify(told('late')))
  const second = open()
  second.receive('{"type":"welcome"}')
  assert.deepEqual(second.sent, ['{"type":"watch","change":"c-3"}'])
  assert.deepEqual(heard, ['opened', 'a', 'b', 'cleared', 'closed', 'opened'])
  watch.leave(listener)
  second.receive(JSON.stringify(told('c')))
  assert.equal(heard.length, 6)
})

test('whatever comes by the link is heard, a ping too', () => {
  let beats = 0
  const watch = new LinkWatch(() => beats++)
  const socket = /** @type {any} */ (new /** @type {any} */ (watch.WebSocket)('ws://a/'))
  socket.receive('{"type":"ping"}')
  socket.receive(bytes(line({ type: 'request' })).buffer)
  assert.equal(beats, 2)
})

test('where the platform has no WebSocket the SDK is given none', () => {
  globalThis.WebSocket = /** @type {any} */ (undefined)
  assert.equal(new LinkWatch().WebSocket, undefined)
})
