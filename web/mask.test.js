import { test } from 'node:test'
import assert from 'node:assert/strict'
import { isSecret, maskTarget, maskValue } from './pages/mask.js'

test('names tell secrets', () => {
  const secret = [
    ...['Authorization', 'Proxy-Authorization', 'Cookie', 'Set-Cookie', 'X-Api-Key', 'apiKey'],
    ...['api_key', 'APIKEY', 'key', 'access_token', 'X-CSRF-Token', 'client_secret', 'password'],
    ...['passwd', 'X-Hub-Signature-256', 'webhook-signature', 'Stripe-Signature', 'X-Session-Id'],
    ...[
      'X-Amz-Credential',
      'x-auth',
      'authKey',
      'Cf-Access-Jwt-Assertion',
      'sig',
      'PHPSESSID',
      'X-Amz-Security-Token',
    ],
  ]
  for (const name of secret) assert.equal(isSecret(name), true, name)
  const open = [
    ...['Host', 'Accept', 'Content-Type', 'Author', 'bypass', 'Idempotency-Key', 'keyboard', 'q'],
    ...['Sec-WebSocket-Key', 'WWW-Authenticate', 'webhook-id', 'signal', 'pinned', 'monkey', ''],
  ]
  for (const name of open) assert.equal(isSecret(name), false, name)
})

test('values of fields are masked, and say what they are', () => {
  const cases = [
    ['Authorization', 'Bearer abc.def', 'Bearer [masked]'],
    ['authorization', 'basic dTpw', 'basic [masked]'],
    ['Proxy-Authorization', 'Digest username="u", response="x"', 'Digest [masked]'],
    ['Authorization', 'hunter2', '[masked]'],
    ['Authorization', 'hunter2 swordfish', '[masked]'],
    ['Authorization', 'Bearer', '[masked]'],
    ['Authorization', '', ''],
    ['Cookie', 'a=1; b="2;c"; d=', 'a=[masked]; b=[masked];[masked]; d='],
    ['Cookie', 'alone', '[masked]'],
    ['Cookie', '  alone ; a==b', '  [masked] ; a=[masked]'],
    ['Set-Cookie', 'a=1; Path=/; HttpOnly', 'a=[masked]; Path=/; HttpOnly'],
    ['Set-Cookie', 'a=; Max-Age=0', 'a=; Max-Age=0'],
    ['X-Api-Key', 'k', '[masked]'],
    ['Accept', 'Bearer x', 'Bearer x'],
    ['Referer', 'https://x.example/?token=1&a=2', 'https://x.example/?token=[masked]&a=2'],
    ['Location', '/cb#access_token=1&state=2', '/cb#access_token=[masked]&state=2'],
  ]
  for (const [name, value, want] of cases) {
    assert.equal(maskValue(name, value), want, `${name}: ${value}`)
  }
})

test('parameters of a query are masked, and all else stays as it is', () => {
  const cases = {
    '/': '/',
    '*': '*',
    '/token=1': '/token=1',
    '/x?a=1&token=s3&b=%zz': '/x?a=1&token=[masked]&b=%zz',
    '/x?Api%5FKey=s3': '/x?Api%5FKey=[masked]',
    '/x?tok%65n=s3': '/x?tok%65n=[masked]',
    '/x?%ff-token=s3=s4': '/x?%ff-token=[masked]',
    '/x?secret&token=&?': '/x?secret&token=&?',
    '/x?a=1;token=s3': '/x?a=1;token=[masked]',
    '/x?a[password]=s3?#': '/x?a[password]=[masked]#',
    'https://u:p@x.example/?key=1': 'https://[masked]@x.example/?key=[masked]',
    'https://x.example/@?key=1': 'https://x.example/@?key=[masked]',
  }
  for (const [target, want] of Object.entries(cases)) assert.equal(maskTarget(target), want)
})
