// How often the visitors of a page may do something.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rate } from './pages/rate.js'

test('so often within a time, and again when that is over', () => {
  let now = 0
  const rate = new Rate(2, 1_000, () => now)
  const may = (address) => rate.may(address)
  assert.deepEqual(['a', 'a', 'a', 'b'].map(may), [true, true, false, true])
  now = 1_000
  assert.equal(may('a'), true)
})
