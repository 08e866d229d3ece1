import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { servedBy, switchTo } from './pages/claim-switch.js'
import { claims, forget, remember } from './pages/claims.js'
import { ago } from './pages/duration.js'

const kept = (/** @type {string} */ label, more = {}) => ({
  label,
  token: `of-${label}`,
  page: 'console',
  seen: 1,
  ...more,
})
const labels = () => claims().map(({ label }) => label)

class Kept {
  /** @type {Record<string, string>} */
  all = {}
  getItem = (/** @type {string} */ name) => this.all[name] ?? null
  setItem = (/** @type {string} */ name, /** @type {string} */ value) => {
    this.all[name] = value
  }
  removeItem = (/** @type {string} */ name) => {
    delete this.all[name]
  }
}

const { fetch } = globalThis
/** @type {Kept} */
let local
/** @type {Kept} */
let tab
beforeEach(() => {
  local = new Kept()
  tab = new Kept()
  place('localStorage', local)
  place('sessionStorage', tab)
})
afterEach(() => void (globalThis.fetch = fetch))

/**
 * @param {string} name
 * @param {unknown} value
 */
function place(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true })
}

/**
 * @param {number} status
 * @param {object} content
 */
function answering(status, content) {
  globalThis.fetch = async () => Response.json(content, { status })
}

test('claims are kept once each, the newest first, and 20 at most', () => {
  for (let n = 0; n < 25; n++) remember(kept(`l${n}`))
  remember(kept('l10', { page: 'inbox', seen: 2 }))
  assert.equal(labels().length, 20)
  assert.deepEqual(labels().slice(0, 3), ['l10', 'l24', 'l23'])
  assert.deepEqual(claims()[0], kept('l10', { page: 'inbox', seen: 2 }))
  forget('l10')
  assert.equal(labels().includes('l10'), false)
})

test('what is no claim is left out', () => {
  for (const text of ['', '{', 'null', '{}', '"x"', '7']) {
    local.all['reversehttp claims'] = text
    assert.deepEqual(claims(), [], text)
  }
  const not = [
    null,
    3,
    {},
    kept('x', { token: 7 }),
    kept('x', { page: 'other' }),
    kept('x', { seen: '1' }),
    kept('x'.repeat(257)),
  ]
  local.all['reversehttp claims'] = JSON.stringify([...not, kept('good')])
  assert.deepEqual(labels(), ['good'])
})

test('a storage that is refused keeps nothing, and nothing throws', () => {
  Object.defineProperty(globalThis, 'localStorage', {
    get: () => {
      throw new Error('refused')
    },
    configurable: true,
  })
  remember(kept('a'))
  forget('a')
  assert.deepEqual(claims(), [])
})

test('the state of a claim has who serves it, and one that is gone is forgotten', async () => {
  const at = Promise.resolve('https://gw.example/claims')
  remember(kept('a'))
  const of = () => servedBy(kept('a'), at)
  answering(200, { sessions: [{ parked: false }] })
  assert.equal(await of(), 'not served')
  assert.equal(claims()[0].seen, 1)
  answering(200, { sessions: [{ parked: false }, { parked: true }] })
  assert.equal(await of(), 'another tab')
  assert.ok(claims()[0].seen > 1)
  for (const status of [401, 500]) {
    answering(status, {})
    assert.equal(await of(), 'unknown')
    assert.deepEqual(labels(), ['a'])
  }
  for (const status of [403, 404]) {
    remember(kept('a'))
    answering(status, {})
    assert.equal(await of(), 'gone')
    assert.deepEqual(labels(), [])
  }
})

test('a claim that was forgotten meanwhile stays forgotten', async () => {
  answering(200, { sessions: [{ parked: true }] })
  await servedBy(kept('a'), Promise.resolve('https://gw.example/claims'))
  assert.deepEqual(labels(), [])
})

test('the console is loaded again to look at a claim, or to serve it', () => {
  /** @type {string[]} */
  const asked = []
  const reload = () => asked.push('reload')
  place('location', { origin: 'https://gw.example', pathname: '/', reload })
  place('history', {
    replaceState: (/** @type {unknown[]} */ ...[, , url]) => asked.push(`${url}`),
  })
  switchTo({ label: 'a', token: 't', look: true })
  const viewing = { label: 'a', viewer: 't', owner: true }
  assert.deepEqual(JSON.parse(tab.all['console viewing']), viewing)
  switchTo({ label: 'b', token: 'u', look: false })
  assert.deepEqual(tab.all, {
    'console label': '',
    'console reversehttp https://gw.example/ ': '{"label":"b","token":"u"}',
  })
  assert.deepEqual(asked, ['/', 'reload', '/', 'reload'])
})

test('how long ago it was is said in one unit', () => {
  const words = [0, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000 * 2].map(ago)
  assert.deepEqual(words, ['just now', 'just now', '1 min ago', '59 min ago', '1 h ago', '2 d ago'])
})
