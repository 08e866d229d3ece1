import { test } from 'node:test'
import assert from 'node:assert/strict'
import { asText, bytesInWords, contentOf, toBase64 } from './pages/content.js'

const text = (t) => new TextEncoder().encode(t)

test('content of an envelope is its bytes', () => {
  assert.deepEqual(contentOf({ body: 'é' }), Uint8Array.of(0xc3, 0xa9))
  assert.deepEqual(contentOf({ bodyBase64: '/wA=' }), Uint8Array.of(0xff, 0))
  assert.equal(contentOf({}).length, 0)
})

test('base64 goes back and forth', () => {
  const all = Uint8Array.from({ length: 70_000 }, (_, i) => i % 256)
  for (const length of [1, 2, 3, 8191, 8192, 8193, 70_000]) {
    const content = all.subarray(0, length)
    assert.equal(toBase64(content), Buffer.from(content).toString('base64'))
    assert.deepEqual(contentOf({ bodyBase64: toBase64(content) }), content)
  }
  assert.throws(() => contentOf({ bodyBase64: 'AA-_' }))
})

test('text is UTF-8 without control characters', () => {
  for (const shown of ['', '[1, 2]', 'tab\tand line\r\n', 'grün ✓']) {
    assert.equal(asText(text(shown)), shown)
  }
  for (const binary of [text('nul\0'), Uint8Array.of(0x68, 0xff)]) {
    assert.equal(asText(binary), undefined)
  }
})

test('a byte order mark is kept', () => {
  assert.equal(asText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x68)), '\ufeffh')
})

test('text that is cut may end within a character', () => {
  const cut = text('xé').subarray(0, 2)
  assert.equal(asText(cut), undefined)
  assert.equal(asText(cut, true), 'x')
})

test('sizes are exact', () => {
  const sizes = {
    '0 bytes': 0,
    '1 byte': 1,
    '1,023 bytes': 1023,
    '1 KiB': 1024,
    '1.5 KiB': 1536,
    '64 KiB': 65_536,
    '1,023.9 KiB': 1_048_474,
    '1 MiB': 1_048_575,
    '64 GiB': 68_719_476_736,
    '1 TiB': 2 ** 40,
    '2,048 TiB': 2 ** 51,
  }
  assert.deepEqual(Object.values(sizes).map(bytesInWords), Object.keys(sizes))
})
