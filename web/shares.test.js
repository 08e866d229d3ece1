// What the visitors of a page share: places, and room for content.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  mostBytes,
  mostInAll,
  mostPlaces,
  Shares,
  withPlaces,
  withWholeContent,
} from './pages/shares.js'

test('one network has half, and the next ones what is left for them', () => {
  const shares = new Shares(64)
  const takes = (address) => {
    let n = 0
    while (shares.take(address)) n++
    return n
  }
  assert.deepEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(takes), [32, 16, 8])
  assert.equal(takes('[2001:db8::1]'), 4)
  // Of the same network.
  assert.equal(takes('[2001:db8::2]'), 0)
  for (let i = 0; i < 32; i++) shares.give('192.0.2.1')
  assert.equal(takes('192.0.2.4'), 18)
})

const info = (address, more = {}) => ({ remoteAddr: `${address}:1`, body: null, ...more })

test('who fills the places of a page leaves some for others', async () => {
  let end
  const ended = new Promise((resolve) => (end = resolve))
  const handler = withPlaces(() => ended.then(() => new Response('here')))
  const waiting = Array.from({ length: mostPlaces / 2 }, () => handler(null, info('192.0.2.1')))
  const refused = await handler(null, info('192.0.2.1'))
  assert.equal(refused.status, 503)
  assert.ok(refused.headers.get('Retry-After'))
  const other = handler(null, info('192.0.2.2'))
  end()
  for (const { status } of await Promise.all([...waiting, other])) assert.equal(status, 200)
  assert.equal((await handler(null, info('192.0.2.1'))).status, 200)
})

test('a handler that fails gives its place back', async () => {
  const handler = withPlaces(() => {
    throw new Error('no')
  })
  for (let i = 0; i < mostPlaces; i++) {
    await assert.rejects(handler(null, info('192.0.2.1')), /no/)
  }
})

/** Content that comes, and never ends. */
function drip(bytes) {
  return new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(bytes)) })
}

test('who sends much content and never ends leaves room for others', async () => {
  const handler = withWholeContent((_, { content }) => new Response(`${content.length}`))
  const from = (address, body) => handler(null, info(address, { body }))
  for (let i = 0; i < mostInAll / mostBytes / 2; i++) void from('192.0.2.1', drip(mostBytes))
  const refused = await from('192.0.2.1', new Blob(['abc']).stream())
  assert.equal(refused.status, 503)
  const other = await from('192.0.2.2', new Blob(['abc']).stream())
  assert.equal(await other.text(), '3')
})

test('room for content is given back, and too long content is refused', async () => {
  const handler = withWholeContent((_, { content }) => new Response(`${content.length}`))
  for (let i = 0; i < mostInAll / mostBytes + 1; i++) {
    const body = new Blob([new Uint8Array(mostBytes)]).stream()
    const answer = await handler(null, info('192.0.2.1', { body }))
    assert.equal(await answer.text(), `${mostBytes}`)
  }
  const long = await handler(null, info('192.0.2.1', { body: drip(mostBytes + 1) }))
  assert.equal(long.status, 413)
})
