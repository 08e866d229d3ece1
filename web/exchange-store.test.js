import { test } from 'node:test'
import assert from 'node:assert/strict'
import { ExchangeStore, mostRows } from './pages/exchange-store.js'

const recorded = (id, atMs, of) => ({
  id,
  receivedAt: new Date(atMs).toISOString(),
  state: 'ended',
  ...of,
})
const ids = (store) => store.rows().map((row) => row.recorded.id)

test('rows are in the order of their times, whatever the order that they come in', () => {
  const store = new ExchangeStore(() => {})
  for (const [id, atMs] of Object.entries({ b: 2, a: 1, d: 4, c: 3, e: 4 })) {
    store.upsert(recorded(id, atMs))
  }
  assert.deepEqual(ids(store), ['a', 'b', 'c', 'd', 'e'])
})

test('a row that changes is replaced, and told of as known', () => {
  const told = []
  const store = new ExchangeStore((...of) => told.push(of))
  store.upsert(recorded('a', 1, { state: 'queued' }))
  const before = store.get('a')
  store.upsert(recorded('a', 1, { status: 201 }))
  assert.notEqual(store.get('a'), before)
  assert.equal(store.get('a').recorded.status, 201)
  assert.deepEqual(told, [
    ['a', true],
    ['a', false],
  ])
})

test('the oldest go where there are too many', () => {
  const store = new ExchangeStore(() => {})
  for (let i = 0; i <= mostRows; i++) store.upsert(recorded(`x${i}`, i))
  assert.equal(store.size, mostRows)
  assert.equal(store.get('x0'), undefined)
  assert.equal(store.kept('x1'), false)
  assert.equal(store.kept(`x${mostRows}`), true)
})

test('clearing leaves what has not ended', () => {
  const store = new ExchangeStore(() => {})
  store.upsert(recorded('a', 1))
  store.upsert(recorded('b', 2, { state: 'delivered' }))
  store.clear()
  assert.deepEqual(ids(store), ['b'])
  store.clear(true)
  assert.equal(store.size, 0)
})

test('marks may come before their exchange', () => {
  const store = new ExchangeStore(() => {})
  const marks = [{ is: 'valid', text: 'GitHub: valid' }]
  store.mark('a', marks)
  store.upsert(recorded('a', 1, { state: 'queued' }))
  store.upsert(recorded('a', 1))
  assert.deepEqual(store.get('a').marks, marks)
})

test('exchanges that the gateway no longer lists are dropped', () => {
  const store = new ExchangeStore(() => {})
  for (const [at, id] of ['a', 'b', 'c'].entries()) store.upsert(recorded(id, at))
  store.only(new Set(['b']))
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => store.kept(id)),
    [false, true, false],
  )
  store.upsert(recorded('d', 4))
  assert.equal(store.kept('d'), true)
})

test('clearing keeps what is open, and what was deleted unheard can be removed', () => {
  const store = new ExchangeStore(() => {})
  const receivedAt = '2026-01-01T00:00:00Z'
  store.upsert({ id: 'a', receivedAt, state: 'ended' })
  store.upsert({ id: 'b', receivedAt, state: 'delivered' })
  store.upsert({ id: 'c', receivedAt, state: 'delivered' })
  store.clear()
  assert.deepEqual(store.open(), ['b', 'c'])
  store.remove(new Set(['b']))
  assert.deepEqual(
    store.rows().map(({ recorded }) => recorded.id),
    ['c'],
  )
  store.clear(true)
  assert.equal(store.size, 0)
})
