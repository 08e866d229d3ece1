// The scripted gateway's end of a link, with a program written by hand.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { frame, unframe } from './framed.js'
import { limits, scriptedGateway, until } from './scripted-gateway.js'

const script = {
  links: [
    { status: 409, json: { code: 'session_fenced' } },
    {
      exchangeWindow: 8,
      withholds: true,
      does: [
        { sends: [{ type: 'request', id: 'x1', cursor: 'c1', body: 'in' }, { type: 'future' }] },
        { after: 1 },
        { most: 1 },
        { sends: { type: 'results', results: [{ id: 'x1', status: 'late' }] } },
        { acked: 'c1' },
        { closes: 1001 },
      ],
    },
    { drop: true },
  ],
}

for (const framed of [false, true]) {
  test(`a scripted link follows its script, framed: ${framed}`, async () => {
    const gateway = await scriptedGateway({
      ...script,
      limits: { ...limits, ...(framed && { framedInlineBytes: 65536 }) },
    })
    const claimed = await (await fetch(`${gateway.origin}/claims`, { method: 'POST' })).json()
    const dial = () => new Dialled(claimed.link)

    assert.deepEqual(await dial().closed, 1006)

    const first = dial()
    await once(first.socket, 'open')
    first.socket.send('{"type":"hello","token":"t0","cursor":"c0"}')
    const { type, exchangeWindow, linkWindow } = await first.next()
    assert.deepEqual([type, exchangeWindow, linkWindow], ['welcome', 8, 4194304])
    assert.deepEqual(await first.next(), { type: 'ping' })
    assert.equal((await first.next()).body, 'in')
    assert.deepEqual(await first.next(), { type: 'future' })
    first.socket.send(frame({ type: 'response', id: 'x1', status: 200, bodyBase64: 'AP8=' }))
    assert.deepEqual((await first.next()).results, [{ id: 'x1', status: 'late' }])
    first.socket.send('{"type":"ack","cursor":"c1"}')
    assert.equal(await first.closed, 1001)
    assert.deepEqual([...first.kinds], framed ? ['string', 'object'] : ['string'])

    assert.equal(await dial().closed, 1006)

    const second = dial()
    await once(second.socket, 'open')
    second.socket.send('{"type":"hello","token":"t0","cursor":"c1"}')
    assert.equal((await second.next()).type, 'welcome')
    await second.next()
    const long = 'x'.repeat(100_000)
    const answers = [
      { type: 'part', id: 'x2', seq: 3, body: long },
      { type: 'abort', id: 'x3' },
    ]
    second.socket.send(Buffer.concat(answers.map(frame)))
    assert.deepEqual((await second.next()).results, [
      { id: 'x2', status: 'accepted', seq: 3 },
      { id: 'x3', status: 'accepted' },
    ])
    second.socket.send(frame({ type: 'pong', cursor: 'c2' }))
    await until(() => gateway.seen.pongs === 1)
    const { links, acked, fault } = gateway.seen
    assert.deepEqual([links, acked, fault], [['c0', 'c1'], ['c1', 'c2'], undefined])
    assert.deepEqual(
      gateway.seen.answers.map((a) => a.body ?? a.bodyBase64),
      ['AP8=', long, undefined],
    )
    second.socket.send('{"type":')
    await until(() => gateway.seen.fault)
    second.socket.close(1000)
    assert.equal(await second.closed, 1000)
    await gateway.close()
  })
}

/** A program's end of a link. */
class Dialled {
  kinds = new Set()
  #messages = []

  constructor(url) {
    this.socket = new WebSocket(url, 'reversehttp.1')
    this.socket.binaryType = 'arraybuffer'
    this.socket.on('error', () => {})
    this.closed = new Promise((resolve) => this.socket.on('close', resolve))
    this.socket.addEventListener('message', ({ data }) => {
      this.kinds.add(typeof data)
      const text = typeof data === 'string'
      this.#messages.push(...(text ? [JSON.parse(data)] : unframe(Buffer.from(data)).messages))
    })
  }

  async next() {
    await until(() => this.#messages.length > 0, 'a message')
    return this.#messages.shift()
  }
}
