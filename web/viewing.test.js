import { test } from 'node:test'
import assert from 'node:assert/strict'
import { viewingAt } from './pages/viewing.js'

test('a link has a label and a token, or is none', () => {
  assert.deepEqual(viewingAt('#label=demo&viewer=a%2Bb'), { label: 'demo', viewer: 'a+b' })
  for (const hash of ['', '#', '#label=demo', '#viewer=x', '#/exchange/x1?filter=label%3Dviewer']) {
    assert.equal(viewingAt(hash), undefined, hash)
  }
})
