import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fieldsOf, linesOf } from './pages/field-lines.js'

const fields = [
  ['Host', 'a.example'],
  ['Authorization', 'Bearer of-secrets'],
  ['X-Name', 'J\xc3\xbcrgen'],
  ['X-Odd', 'not UTF-8: \xff'],
  ['Cookie', 'a=1'],
  ['Cookie', 'a=2'],
]

test('fields that are not edited are the same, masked or not', () => {
  for (const secrets of [false, true]) {
    assert.deepEqual(fieldsOf(linesOf(fields, secrets), fields), fields)
  }
  assert.doesNotMatch(linesOf(fields, false), /of-secrets|a=1/)
  assert.match(linesOf(fields, true), /of-secrets/)
})

test('what is typed is bytes of UTF-8, and empty lines are nothing', () => {
  assert.deepEqual(fieldsOf('\nX-New:  Jürgen \n\nX-Empty:', fields), [
    ['X-New', 'J\xc3\xbcrgen'],
    ['X-Empty', ''],
  ])
})

test('a line without a name is an error', () => {
  assert.throws(() => fieldsOf('no field', fields), /no field/i)
})
