import { test } from 'node:test'
import assert from 'node:assert/strict'
import { bytesInWords, contentOf, hex, indent, present, toBase64 } from './pages/content.js'

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

test('JSON is indented and not changed otherwise', () => {
  const json = '{"n":1.50,"big":12345678901234567890,"n":[],"o":{},"a":[1,"],{\\"",null]}'
  assert.equal(
    indent(json),
    `{
  "n": 1.50,
  "big": 12345678901234567890,
  "n": [],
  "o": {},
  "a": [
    1,
    "],{\\"",
    null
  ]
}`,
  )
  assert.throws(() => indent('{"a":}'), SyntaxError)
})

test('content is shown as what it is', () => {
  const cases = [
    ['', 'none'],
    ['[1, 2]', 'JSON'],
    ['{ not json', 'text'],
    ['a=1&b=2', 'text'],
    ['tab\tand line\r\n', 'text'],
    ['nul\0', 'binary'],
  ]
  for (const [content, kind] of cases) {
    assert.equal(present(text(content)).kind, kind, JSON.stringify(content))
  }
  assert.equal(present(Uint8Array.of(0x68, 0xff)).kind, 'binary')
})

test('a byte order mark is kept', () => {
  assert.equal(present(Uint8Array.of(0xef, 0xbb, 0xbf, 0x68)).text, '\ufeffh')
})

test('large content is shown by its beginning', () => {
  // 65,536 bytes end within a character.
  const { kind, text: shown, whole } = present(text('x' + 'é'.repeat(40_000)))
  assert.deepEqual([kind, whole, shown.length], ['text', false, 1 + 32_767])
  const binary = present(new Uint8Array(10_000))
  assert.deepEqual([binary.kind, binary.whole], ['binary', false])
  assert.ok(binary.text.length < 20_000)
})

test('deep nesting stays small', () => {
  const { text: shown } = present(text('['.repeat(30_000) + ']'.repeat(30_000)))
  assert.ok(shown.length < 5_000_000, `${shown.length} characters`)
})

test('hex tells place, bytes and text', () => {
  assert.equal(
    hex(Uint8Array.from([...text('<b>hello, world</b>'), 0, 255])),
    [
      '000000  3c 62 3e 68 65 6c 6c 6f 2c 20 77 6f 72 6c 64 3c  <b>hello, world<',
      '000010  2f 62 3e 00 ff                                   /b>..',
    ].join('\n'),
  )
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
