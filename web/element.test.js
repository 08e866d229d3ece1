import assert from 'node:assert/strict'
import { test } from 'node:test'
import { visible } from './pages/element.js'

test('nothing turns the direction of the text around it', () => {
  assert.equal(visible('/a\u202eexe.gpj'), '/a\\u{202e}exe.gpj')
  assert.equal(visible('\u2066\u061c\u200f'), '\\u{2066}\\u{61c}\\u{200f}')
  assert.equal(visible('שלום مرحبا é'), 'שלום مرحبا é')
  assert.equal(visible(5), 5)
})
