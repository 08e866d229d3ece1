import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { checkGitHub, checkSignatures, checkStandard } from './pages/signature.js'

const text = (t) => new TextEncoder().encode(t)
const nowMs = 1_700_000_000_000
const nowSeconds = nowMs / 1000

// The example in GitHub's documentation of webhooks.
const github = {
  secret: "It's a Secret to Everybody",
  content: text('Hello, World!'),
  signature: 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
}

function gitHub(values, { secret = github.secret, content = github.content } = {}) {
  const headers = [['Host', 'x'], ...values.map((v) => ['X-Hub-Signature-256', v])]
  return checkGitHub({ headers, content, receivedMs: nowMs }, secret)
}

test('the example of GitHub is valid', async () => {
  assert.equal((await gitHub([github.signature])).is, 'valid')
})

test('GitHub: what is not exactly that is not valid', async () => {
  const { signature } = github
  const cases = [
    ['invalid', gitHub([signature], { secret: 'another' })],
    ['invalid', gitHub([signature], { content: text('Hello, World! ') })],
    ['invalid', gitHub([signature.replace('757', '758')])],
    ['invalid', gitHub([signature.slice(0, -2)])],
    ['invalid', gitHub([signature.slice('sha256='.length)])],
    ['invalid', gitHub([signature, signature])],
    ['invalid', gitHub([''])],
    ['not signed', gitHub([])],
    ['not checked', gitHub([signature], { secret: '' })],
  ]
  for (const [i, [want, check]] of cases.entries()) {
    assert.equal((await check).is, want, `case ${i}`)
  }
})

test('GitHub: bytes that are no text count as they are', async () => {
  const content = Uint8Array.from({ length: 256 }, (_, i) => i)
  const hex = createHmac('sha256', 'key').update(content).digest('hex')
  assert.equal((await gitHub([`sha256=${hex}`], { secret: 'key', content })).is, 'valid')
})

const raw = Buffer.from(Array.from({ length: 24 }, (_, i) => i * 9))
const secret = `whsec_${raw.toString('base64')}`

function signed(content, { key = raw, id = 'msg_2b', at = nowSeconds } = {}) {
  const hmac = createHmac('sha256', key).update(`${id}.${at}.`).update(content)
  return { id, timestamp: `${at}`, signature: `v1,${hmac.digest('base64')}` }
}

function standard({ id, timestamp, signature }, content, of = secret) {
  const pairs = [
    ['Webhook-Id', id],
    ['Webhook-Timestamp', timestamp],
    ['Webhook-Signature', signature],
  ]
  const headers = pairs.filter(([, value]) => value !== undefined)
  return checkStandard({ headers, content, receivedMs: nowMs }, of)
}

test('a Standard Webhook is valid, with and without the prefix of the secret', async () => {
  const content = text('{"type":"é"}')
  assert.equal((await standard(signed(content), content)).is, 'valid')
  assert.equal((await standard(signed(content), content, raw.toString('base64'))).is, 'valid')
})

test('Standard Webhooks: one of several signatures is enough, unknown versions are skipped', async () => {
  const content = text('{}')
  const good = signed(content)
  const other = signed(content, { key: 'another' }).signature
  const signature = `v1a,${other.slice(3)} ${other} v1,%% ${good.signature}`
  assert.equal((await standard({ ...good, signature }, content)).is, 'valid')
  const v2 = good.signature.replace('v1,', 'v2,')
  assert.equal((await standard({ ...good, signature: v2 }, content)).is, 'invalid')
})

test('Standard Webhooks: what is not exactly that is not valid', async () => {
  const content = text('{}')
  const good = signed(content)
  const cases = [
    ['invalid', standard(good, text('{ }'))],
    ['invalid', standard({ ...good, id: 'msg_2c' }, content)],
    ['invalid', standard({ ...good, timestamp: `${nowSeconds + 1}` }, content)],
    ['invalid', standard({ ...good, timestamp: 'today' }, content)],
    ['invalid', standard({ ...good, timestamp: undefined }, content)],
    ['invalid', standard({ ...good, signature: undefined }, content)],
    ['invalid', standard(good, content, `whsec_${Buffer.from('another').toString('base64')}`)],
    ['not signed', standard({}, content)],
    ['not checked', standard(good, content, '')],
    ['not checked', standard(good, content, 'whsec_not base64 at all!')],
  ]
  for (const [i, [want, check]] of cases.entries()) {
    assert.equal((await check).is, want, `case ${i}`)
  }
})

test('Standard Webhooks: a good signature is invalid when its time is off by more than five minutes', async () => {
  const content = text('{}')
  for (const [off, want] of [
    [-301, 'invalid'],
    [-300, 'valid'],
    [300, 'valid'],
    [301, 'invalid'],
  ]) {
    const { is, why } = await standard(signed(content, { at: nowSeconds + off }), content)
    assert.equal(is, want, `${off} s`)
    assert.match(why, /tolerance 300 s/)
  }
})

test('every scheme is checked and named', async () => {
  const headers = [['X-Hub-Signature-256', github.signature]]
  const received = { headers, content: github.content, receivedMs: nowMs }
  const found = await checkSignatures(received, github.secret)
  assert.deepEqual(
    found.map(({ scheme, is }) => [scheme, is]),
    [
      ['GitHub', 'valid'],
      ['Standard Webhooks', 'not signed'],
    ],
  )
})
