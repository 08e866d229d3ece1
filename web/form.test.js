import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseForm } from './pages/multipart.js'

test('a form is its names and values, in order and decoded', () => {
  const cases = [
    ['', []],
    [
      'a=1&b=two+words&a=%C3%A9',
      [
        ['a', '1'],
        ['b', 'two words'],
        ['a', 'é'],
      ],
    ],
    [
      'a&=b&&c==',
      [
        ['a', ''],
        ['', 'b'],
        ['c', '='],
      ],
    ],
    ['?a=1', [['?a', '1']]],
    [
      '%=%zz&x=%ff',
      [
        ['%', '%zz'],
        ['x', '\ufffd'],
      ],
    ],
    ['__proto__=1', [['__proto__', '1']]],
  ]
  for (const [text, want] of cases) assert.deepEqual(parseForm(text), want, text)
})

test('a form of very many pairs is cut', () => {
  assert.equal(parseForm('a=1&'.repeat(100_000)).length, 1_000)
})
