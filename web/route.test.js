import { test } from 'node:test'
import assert from 'node:assert/strict'
import { duration } from './pages/duration.js'
import { atHash, toHash } from './pages/route.js'

test('an address says what is shown, and is read again', () => {
  const all = [
    [{ id: '', filter: '' }, ''],
    [{ id: 'x1', filter: '' }, '#/exchange/x1'],
    [{ id: 'a/b?c', filter: '' }, '#/exchange/a%2Fb%3Fc'],
    [{ id: '', filter: 'status>=500 ü' }, '#/?filter=status%3E%3D500+%C3%BC'],
    [{ id: 'x1', filter: 'a&b' }, '#/exchange/x1?filter=a%26b'],
  ]
  for (const [shown, hash] of all) {
    assert.equal(toHash(shown), hash)
    assert.deepEqual(atHash(hash), shown)
  }
  for (const odd of ['#', '#x', '#/exchange/%ff', '#/elsewhere']) {
    assert.deepEqual(atHash(odd), { id: '', filter: '' }, odd)
  }
})

test('durations are short', () => {
  const words = { 0.4: '0 ms', 999: '999 ms', 1000: '1.0 s', 12_300: '12 s', 120_000: '2 m' }
  for (const [ms, said] of Object.entries(words)) assert.equal(duration(Number(ms)), said)
  assert.equal(duration(7_200_000), '2 h')
})
