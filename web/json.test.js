import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readJSON } from './pages/json.js'

test('numbers keep their digits, and repeated members stay', () => {
  assert.deepEqual(readJSON('{"n":1.50,"n":12345678901234567890}'), {
    kind: 'object',
    members: [
      ['n', { kind: 'number', text: '1.50' }],
      ['n', { kind: 'number', text: '12345678901234567890' }],
    ],
  })
})

test('strings are decoded, whatever is in them', () => {
  const { items } = readJSON('["],{\\"", "\\u00e9\\n", null, true, [], {}]')
  assert.deepEqual(
    items.map(({ kind, text }) => text ?? kind),
    ['],{"', 'é\n', 'null', 'true', 'array', 'object'],
  )
})

test('a value alone is JSON', () => {
  assert.deepEqual(readJSON(' -1e3 '), { kind: 'number', text: '-1e3' })
})

test('what is not JSON is undefined, and so is what is nested too deep', () => {
  for (const text of ['', '{"a":}', '[1,]', "{'a':1}", 'nul']) {
    assert.equal(readJSON(text), undefined, text)
  }
  assert.equal(readJSON('['.repeat(30_000) + ']'.repeat(30_000)), undefined)
})

test('a long string is read', () => {
  const text = 'a"\\'.repeat(300_000)
  assert.equal(readJSON(JSON.stringify([text])).items[0].text, text)
})
