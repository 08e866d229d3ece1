import { test } from 'node:test'
import assert from 'node:assert/strict'
import { hexRows } from './pages/hex.js'

const all = Uint8Array.from({ length: 256 }, (_, i) => i)

test('a row has 16 bytes in hex and as ASCII', () => {
  assert.deepEqual(hexRows(Uint8Array.of(0x48, 0x69, 0, 0xff, 0x7f, 0x20)), [
    { offset: '000000', hex: '48 69 00 ff 7f 20'.padEnd(47), text: 'Hi... ' },
  ])
  const rows = hexRows(all)
  assert.equal(rows.length, 16)
  assert.equal(rows[15].hex, 'f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 fa fb fc fd fe ff')
  assert.equal(rows[4].text, '@ABCDEFGHIJKLMNO')
})

test('the rows of a part begin at a multiple of 16', () => {
  const offsets = (...part) => hexRows(all, ...part).map(({ offset }) => offset)
  assert.deepEqual(offsets(17, 33), ['000010', '000020'])
  assert.deepEqual(offsets(32, 48), ['000020'])
  assert.deepEqual(offsets(250), ['0000f0'])
  assert.equal(hexRows(all, 16, 18)[0].hex.trim(), '10 11')
})

test('offsets out of range give what there is', () => {
  assert.equal(hexRows(new Uint8Array()).length, 0)
  assert.equal(hexRows(all, -5, 1e9).length, 16)
  assert.equal(hexRows(all, 1e9).length, 0)
  assert.equal(hexRows(all, 32, 16).length, 0)
  assert.equal(hexRows(all, NaN, NaN).length, 0)
})

test('large content is cut, and its offsets are as wide as they need to be', () => {
  const large = new Uint8Array(0x1000001)
  assert.equal(hexRows(large).length, 4_096)
  assert.equal(hexRows(large, 0x1000000)[0].offset, '1000000')
  assert.equal(hexRows(large, 0, 16)[0].offset, '0000000')
})
