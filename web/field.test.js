import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readable, trimmed, valuesOf } from './pages/field.js'

test('values of a name keep their order, whatever its case', () => {
  const fields = [
    ['X-A', '1'],
    ['x-b', '2'],
    ['x-a', '3'],
  ]
  assert.deepEqual(valuesOf(fields, 'x-a'), ['1', '3'])
})

test('bytes that are UTF-8 are read as that, others as they are', () => {
  assert.equal(readable('caf\u00c3\u00a9'), 'café')
  assert.equal(readable('caf\u00e9'), 'café')
})

test('spaces around a value are not part of it, other bytes are', () => {
  assert.equal(trimmed(' \t a b\t '), 'a b')
  assert.equal(trimmed(' \t '), '')
  assert.equal(trimmed('\u00a0\u00c3\u00a0'), '\u00a0\u00c3\u00a0')
})
