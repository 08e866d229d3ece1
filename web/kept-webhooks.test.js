// Which webhooks the inbox drops where there are too many.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mostBytes, mostWebhooks, tooMuch } from './pages/kept-webhooks.js'

const from = (network, length, bytes = 10) =>
  Array.from({ length }, (_, i) => ({ id: `${network} ${i}`, bytes, network }))

test('the oldest go', () => {
  const all = from('a', mostWebhooks + 2)
  assert.deepEqual(tooMuch(all, all.at(-1).id), ['a 0', 'a 1'])
  assert.deepEqual(tooMuch(from('a', mostWebhooks), ''), [])
})

test('whoever floods a URL pushes out their own webhooks only', () => {
  const all = [...from('github', 20), ...from('flood', mostWebhooks)]
  const gone = tooMuch(all, all.at(-1).id)
  assert.equal(gone.length, 20)
  assert.ok(gone.every((id) => id.startsWith('flood')))
})

test('large ones count by their bytes', () => {
  const all = [...from('github', 100), ...from('large', 40, 1 << 20)]
  const gone = tooMuch(all, 'large 39')
  assert.ok(gone.every((id) => id.startsWith('large')))
  const left = all.filter(({ id }) => !gone.includes(id))
  assert.ok(left.reduce((sum, { bytes }) => sum + bytes, 0) <= mostBytes)
})

test('the one that is being kept stays', () => {
  const all = [...from('a', mostWebhooks), { id: 'new', bytes: 10, network: 'b' }]
  assert.deepEqual(tooMuch(all, 'new'), ['a 0'])
  assert.deepEqual(tooMuch([{ id: 'new', bytes: 2 * mostBytes, network: 'b' }], 'new'), [])
})
