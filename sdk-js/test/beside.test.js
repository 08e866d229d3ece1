// A link and the poll beside it (schema/README.md, 4): to the gateway the newer one is the one that arrives later.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stopClock } from './clock.js'
import { linked, WebSocket } from './link-gateway.js'
import { request, until } from './scripted-gateway.js'

const hello = () => new Response('hello')

/** A WebSocket that connects only when a test calls `open`; `made` counts them. */
function late() {
  return class Late extends EventTarget {
    static made = 0
    static open() {}
    constructor(...of) {
      super()
      Late.made++
      Late.open = () => {
        this.ws = new WebSocket(...of)
        this.ws.binaryType = 'arraybuffer'
        for (const type of ['open', 'message', 'close'])
          this.ws.addEventListener(type, (e) =>
            this.dispatchEvent(Object.assign(new Event(type), { data: e.data, code: e.code })),
          )
      }
    }
    send(data) {
      this.ws.send(data)
    }
    close(code) {
      this.ws?.close(code)
    }
  }
}

test('a link that opens beside a poll replaces it: the poll ends before the hello', async (t) => {
  const clock = stopClock(t)
  const Late = late()
  const log = []
  let abandon
  const abandoned = new Promise((resolve) => (abandon = resolve))
  const options = {
    WebSocket: class extends Late {
      send(data) {
        if (typeof data === 'string') log.push(JSON.parse(data).type)
        super.send(data)
      }
    },
    async fetch(url, init) {
      if (!url.endsWith('/requests')) return fetch(url, init)
      init.signal.addEventListener('abort', () => log.push('abort'))
      // The abort reaches the gateway late.
      return fetch(url, init).finally(() => abandoned)
    },
  }
  const { gateway, link, links, ended } = await linked(t, hello, {
    options,
    requests: [{ silent: true }],
  })
  await gateway.settled()
  clock.tick(250)
  await until(() => gateway.seen.polls.length)
  Late.open()
  await until(() => log.length)
  await gateway.settled()
  assert.deepEqual(log, ['abort'])
  abandon()
  const l = await link()
  l.tell(request('x1'))
  await until(() => ended.length)
  assert.deepEqual(log.slice(0, 2), ['abort', 'hello'])
  assert.equal(l.of('response').length, 1)
  assert.equal(gateway.seen.polls.length, 1)
  assert.equal(links.length, 1)
})

test('once a link has sent its hello, there is no poll beside it, however late the welcome is', async (t) => {
  const clock = stopClock(t)
  const { gateway, link, ended, states } = await linked(t, hello, { upgrades: ['late'] })
  const l = await link()
  clock.tick(3_999)
  await gateway.settled()
  assert.deepEqual(gateway.seen.polls, [])
  l.welcome()
  l.tell(request('x1'))
  await until(() => ended.length)
  assert.deepEqual(gateway.seen.polls, [])
  assert.deepEqual(states, [])
})

test('a link without a welcome is given up, and polls serve', async (t) => {
  const clock = stopClock(t)
  const { gateway, link, ended } = await linked(t, hello, { upgrades: ['mute'] })
  await link()
  clock.tick(4_000)
  await gateway.tell(request('x1'))
  await until(() => ended.length)
  assert.equal(gateway.seen.answers.length, 1)
})

for (const welcomed of [true, false]) {
  test(`a link that its own poll replaced fails, and the next has 4 s alone: ${welcomed}`, async (t) => {
    const clock = stopClock(t)
    t.mock.method(Math, 'random', () => 1)
    const Late = late()
    const { gateway, link, asked, states, ended } = await linked(t, hello, {
      options: { WebSocket: Late },
      upgrades: welcomed ? [] : ['late'],
    })
    await gateway.settled()
    clock.tick(250)
    await until(() => gateway.seen.polls.length)
    Late.open()
    const l = await link()
    if (welcomed) {
      l.say({ type: 'ping' })
      await until(() => l.of('pong').length)
    }
    // It was sent earlier, and arrives later.
    gateway.server.emit('poll')
    await until(() => states.length)
    assert.deepEqual(states, ['reconnecting'])
    clock.tick(199)
    await gateway.settled()
    assert.equal(Late.made, 1)
    clock.tick(1)
    await until(() => Late.made === 2)
    clock.tick(3_999)
    await gateway.settled()
    assert.deepEqual([gateway.seen.polls.length, asked.length], [1, 1])
    Late.open()
    const next = await link(2)
    next.tell(request('x1'))
    await until(() => ended.length)
    assert.equal(gateway.seen.polls.length, 1)
    assert.deepEqual(states, ['reconnecting', 'online'])
  })
}

test('a link that does not open while it has its time alone is given up for polls', async (t) => {
  const clock = stopClock(t)
  t.mock.method(Math, 'random', () => 0)
  const Late = late()
  const { gateway, link, states } = await linked(t, hello, { options: { WebSocket: Late } })
  await gateway.settled()
  clock.tick(250)
  await until(() => gateway.seen.polls.length)
  Late.open()
  await link()
  gateway.server.emit('poll')
  await until(() => states.length)
  clock.tick(0)
  await until(() => Late.made === 2)
  clock.tick(4_000)
  await until(() => gateway.seen.polls.length === 2)
})
