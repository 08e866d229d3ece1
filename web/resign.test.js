import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { resign, schemeOf } from './pages/resign.js'
import { checkGitHub, checkStandard } from './pages/signature.js'

const bytes = (text) => new TextEncoder().encode(text)
const all = Uint8Array.from({ length: 256 }, (_, i) => i)

test('a request shows how it is signed', () => {
  const cases = {
    'Webhook-Signature': 'standard',
    'svix-signature': 'standard',
    'Stripe-Signature': 'stripe',
    'X-Slack-Signature': 'slack',
    'X-Hub-Signature-256': 'github',
    'X-Hub-Signature': undefined,
    Signature: undefined,
  }
  for (const [name, want] of Object.entries(cases))
    assert.equal(
      schemeOf([
        ['Host', 'x'],
        [name, '1'],
      ]),
      want,
    )
  assert.equal(schemeOf([]), undefined)
})

// From the documentation of each scheme, or the tests of its own libraries.
const vectors = {
  standard: {
    secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    content: '{"test": 2432232314}',
    at: 1614265330,
    headers: [
      ['Webhook-Id', 'msg_p5jXN8AQM9LWM0D4loKWxJek'],
      ['Webhook-Timestamp', '1'],
      ['Webhook-Signature', 'v1,old v1,older'],
    ],
    want: [
      ['Webhook-Id', 'msg_p5jXN8AQM9LWM0D4loKWxJek'],
      ['Webhook-Timestamp', '1614265330'],
      ['Webhook-Signature', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='],
    ],
  },
  slack: {
    secret: '8f742231b10e8888abcd99yyyzzz85a5',
    content:
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
    at: 1531420618,
    headers: [['X-Slack-Signature', 'v0=00']],
    want: [
      ['X-Slack-Signature', 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503'],
      ['X-Slack-Request-Timestamp', '1531420618'],
    ],
  },
  github: {
    secret: "It's a Secret to Everybody",
    content: 'Hello, World!',
    at: 1,
    headers: [['x-hub-signature-256', 'sha256=00']],
    want: [
      [
        'x-hub-signature-256',
        'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
      ],
    ],
  },
}

for (const [scheme, { secret, content, at, headers, want }] of Object.entries(vectors)) {
  test(`${scheme}: the known example comes out`, async () => {
    assert.equal(schemeOf(headers), scheme)
    assert.deepEqual(await resign(scheme, secret, headers, bytes(content), at * 1000 + 999), want)
  })
}

test('stripe: the HMAC is of time and content, by the whole secret', async () => {
  const v1 = createHmac('sha256', 'whsec_x').update('1700000000.').update(all).digest('hex')
  const headers = [['Stripe-Signature', 't=1,v1=00,v1=01,v0=02']]
  assert.deepEqual(await resign('stripe', 'whsec_x', headers, all, 1_700_000_000_000), [
    ['Stripe-Signature', `t=1700000000,v1=${v1}`],
  ])
})

test('what is signed again is valid by the checks of this page', async () => {
  const now = 1_700_000_000_000
  const secret = `whsec_${btoa('a secret of some length')}`
  const standard = await resign('standard', secret, [['webhook-id', 'é']], all, now)
  const checked = await checkStandard({ headers: standard, content: all, receivedMs: now }, secret)
  assert.equal(checked.is, 'valid')
  const gitHub = await resign('github', 'ключ', [], all, now)
  assert.equal(
    (await checkGitHub({ headers: gitHub, content: all, receivedMs: now }, 'ключ')).is,
    'valid',
  )
})

test('other fields stay in their place, repeated signatures become one', async () => {
  const headers = [
    ['Host', 'x'],
    ['X-Hub-Signature', 'sha1=00'],
    ['X-Hub-Signature-256', '1'],
    ['A', '1'],
    ['x-hub-signature-256', '2'],
    ['A', '2'],
  ]
  const signed = await resign('github', 'key', headers, all, 0)
  assert.deepEqual(
    signed.map(([name]) => name),
    ['Host', 'X-Hub-Signature', 'X-Hub-Signature-256', 'A', 'A'],
  )
  const sha1 = createHmac('sha1', 'key').update(all).digest('hex')
  assert.equal(signed[1][1], `sha1=${sha1}`)
})

test('standard: fields of Svix keep their names, a missing id is made', async () => {
  const svix = await resign(
    'standard',
    'c2VjcmV0',
    [
      ['svix-signature', 'v1,x'],
      ['svix-id', 'm'],
    ],
    all,
    0,
  )
  assert.deepEqual(
    svix.map(([name]) => name),
    ['svix-signature', 'svix-id', 'svix-timestamp'],
  )
  const fresh = await resign('standard', 'c2VjcmV0', [], all, 0)
  assert.deepEqual(
    fresh.map(([name]) => name),
    ['webhook-id', 'webhook-timestamp', 'webhook-signature'],
  )
  assert.match(fresh[0][1], /^msg_[0-9a-f]{32}$/)
})

test('a secret that cannot be one says so', async () => {
  await assert.rejects(resign('standard', 'whsec_not base64!', [], all, 0), /whsec_ and base64/)
  await assert.rejects(resign('standard', 'whsec_', [], all, 0), /whsec_ and base64/)
  for (const scheme of ['standard', 'stripe', 'slack', 'github']) {
    await assert.rejects(resign(scheme, '', [], all, 0), /the secret is missing/)
  }
})
