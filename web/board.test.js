// The board of the MCP server in a tab: what agents may make of it, and what a reload keeps.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Board, mostNotes, mostText, mostTitle } from './pages/board.js'

test('a board has its bounds', () => {
  const board = new Board(() => {})
  for (let i = 1; i < mostNotes; i++) board.add('x'.repeat(mostText + 1))
  assert.throws(() => board.add('one more'), /full/)
  board.change(2, { text: 'y'.repeat(mostText + 1) })
  board.set({ title: 't'.repeat(mostTitle + 1), color: 'none' })
  const { title, color, notes } = board.state
  assert.equal(title.length, mostTitle)
  assert.equal(color, 'teal')
  assert.deepEqual([...new Set(notes.slice(1).map(({ text }) => text.length))], [mostText])
  board.remove(1)
  assert.equal(board.add('again'), mostNotes + 1)
  assert.throws(() => board.remove(1), /no note 1/)
})

test('a number of a note is not given again, since a call that waits may name it', () => {
  const board = new Board(() => {})
  const id = board.add('the newest')
  board.remove(id)
  assert.equal(board.add('another'), id + 1)
})

test('a reload keeps the board, and nothing that is no board', () => {
  const board = new Board(() => {})
  board.add('kept')
  assert.deepEqual(new Board(() => {}, `${board}`).state, board.state)
  const fresh = new Board(() => {}).state
  const one = { id: 1, text: 'a', done: true }
  for (const kept of [
    null,
    '',
    '{',
    'null',
    '[]',
    JSON.stringify({ ...fresh, color: 'url(x)' }),
    JSON.stringify({ ...fresh, notes: [{ ...one, id: '1' }] }),
    JSON.stringify({ ...fresh, notes: [{ ...one, text: 'x'.repeat(mostText + 1) }] }),
    JSON.stringify({ ...fresh, notes: Array(mostNotes + 1).fill(one) }),
  ]) {
    assert.deepEqual(new Board(() => {}, kept).state, fresh, kept)
  }
})
