// One sign-in by code and PKCE: what is asked of the provider, and which answers count.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callbackHandler } from './pages/oauth-callback.js'
import {
  answerTo,
  begin,
  challengeOf,
  claimsOf,
  discover,
  exchange,
  exchangeCommand,
  waitMs,
} from './pages/oauth-flow.js'

const base = 'http://ann.localhost:8080/'
const provider = {
  issuer: 'https://id.example',
  authorization: 'https://id.example/auth?tenant=1',
  token: 'https://id.example/token',
  namesItself: true,
}
const client = { id: 'demo', secret: '', scope: 'openid mail', redirect: `${base}callback` }
const query = (of) => new URLSearchParams(of)

test('the challenge is that of RFC 7636, appendix B', async () => {
  const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
  assert.equal(await challengeOf(verifier), 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM')
})

test('the person is sent to the provider with a challenge and a state', async () => {
  const flow = await begin(provider, client)
  const { origin, searchParams } = new URL(flow.url)
  assert.equal(origin, 'https://id.example')
  const { state, code_challenge: challenge, ...rest } = Object.fromEntries(searchParams)
  assert.deepEqual(rest, {
    tenant: '1',
    response_type: 'code',
    client_id: 'demo',
    redirect_uri: 'http://ann.localhost:8080/callback',
    code_challenge_method: 'S256',
    scope: 'openid mail',
  })
  assert.equal(challenge, await challengeOf(flow.verifier))
  assert.equal(flow.verifier.length, 43)
  assert.notEqual(state, (await begin(provider, client)).state)
})

test('only the answer to this sign-in counts', async () => {
  const flow = await begin(provider, client, 0)
  const { state } = flow
  const iss = provider.issuer
  assert.deepEqual(answerTo(flow, query({ state, iss, code: 'c' }), 1), { code: 'c' })
  const refused = { state, iss, error: 'access_denied', error_description: 'not today' }
  assert.deepEqual(answerTo(flow, query(refused), 1), { refused: 'access_denied: not today' })
  for (const [why, answer, now = 1] of [
    ['another state', { state: 'x', iss, code: 'c' }],
    ['no state', { iss, code: 'c' }],
    ['no name of the provider', { state, code: 'c' }],
    ['another provider', { state, iss: 'https://evil.example', code: 'c' }],
    ['nothing', { state, iss }],
    ['too late', { state, iss, code: 'c' }, waitMs + 1],
  ]) {
    assert.equal(answerTo(flow, query(answer), now), undefined, why)
  }
  // A provider that says nothing of its name may leave it out.
  const silent = { ...flow, provider: { ...provider, namesItself: false } }
  assert.deepEqual(answerTo(silent, query({ state, code: 'c' }), 1), { code: 'c' })
})

/** A provider's answers by URL, and what was asked. */
function answers(of) {
  const asked = []
  const fetch = async (url, init) => {
    asked.push([url, init])
    const [status, content] = of[url] ?? [404, '']
    return new Response(typeof content === 'string' ? content : JSON.stringify(content), { status })
  }
  return { asked, fetch }
}

const metadata = {
  issuer: 'https://id.example/t',
  authorization_endpoint: 'https://id.example/t/auth',
  token_endpoint: 'https://id.example/t/token',
}

test('a provider is found by OpenID Connect, and otherwise by RFC 8414', async () => {
  for (const at of [
    'https://id.example/t/.well-known/openid-configuration',
    'https://id.example/.well-known/oauth-authorization-server/t',
  ]) {
    const { fetch } = answers({ [at]: [200, metadata] })
    const { token, namesItself } = await discover('https://id.example/t', fetch)
    assert.equal(token, 'https://id.example/t/token')
    assert.equal(namesItself, false)
  }
})

test('a provider that is not who it says, or leads nowhere, is none', async () => {
  const at = 'https://id.example/t/.well-known/openid-configuration'
  const script = { ...metadata, authorization_endpoint: 'javascript:alert(1)' }
  for (const [why, answer] of [
    ['it names itself', { ...metadata, issuer: 'https://other.example' }],
    ['is not the URL of a web site', script],
    ['more than', `"${'a'.repeat(300_000)}"`],
    ['it answers 404', undefined],
  ]) {
    const of = answer && {
      [at]: [200, answer],
      'https://id.example/.well-known/oauth-authorization-server/t': [200, answer],
    }
    await assert.rejects(
      discover('https://id.example/t', answers(of ?? {}).fetch),
      (e) => e.message.includes(why),
      why,
    )
  }
  await assert.rejects(discover('not a URL'), /not the URL of a web site/)
})

test('the code is exchanged with the verifier, and the provider may refuse', async () => {
  const flow = await begin(provider, { ...client, secret: 's' })
  const { fetch, asked } = answers({ 'https://id.example/token': [200, { access_token: 'a' }] })
  assert.deepEqual(await exchange(flow, 'c', fetch), { access_token: 'a' })
  const [[, { method, body, credentials, redirect }]] = asked
  assert.deepEqual([method, credentials, redirect], ['POST', 'omit', 'error'])
  assert.deepEqual(Object.fromEntries(body), {
    grant_type: 'authorization_code',
    code: 'c',
    redirect_uri: client.redirect,
    client_id: 'demo',
    code_verifier: flow.verifier,
    client_secret: 's',
  })
  const refusal = { error: 'invalid_grant', error_description: 'it is spent' }
  const refuses = answers({ 'https://id.example/token': [400, refusal] })
  await assert.rejects(exchange(flow, 'c', refuses.fetch), /400: invalid_grant, it is spent/)
  await assert.rejects(exchange(flow, 'c', answers({}).fetch), /404: nothing/)
  assert.match(exchangeCommand(flow, "c'd"), /--data-urlencode 'code=c'\\''d' /)
})

test('an ID token is read, and what is none is not', () => {
  const part = (of) => Buffer.from(JSON.stringify(of)).toString('base64url')
  assert.deepEqual(claimsOf(`${part({})}.${part({ sub: 'Zoë' })}.x`), { sub: 'Zoë' })
  for (const none of [undefined, '', 'a.b.c', 5]) assert.equal(claimsOf(none), undefined)
})

test('previews and strangers end no sign-in, and its answer counts once', async () => {
  let waiting = await begin(provider, client)
  const { state } = waiting
  const got = []
  const handler = callbackHandler(
    () => waiting,
    (flow, answer) => {
      got.push(answer)
      waiting = undefined
    },
  )
  const send = (path, method = 'GET') => {
    const response = handler(new Request(new URL(path, base), { method }), { method })
    return response.status
  }
  const right = `/callback?${query({ state, iss: provider.issuer, code: 'c' })}`
  assert.equal(send('/callback'), 404)
  assert.equal(send('/'), 404)
  assert.equal(send(right, 'HEAD'), 404)
  assert.equal(send(right, 'POST'), 404)
  assert.equal(send('/callback?code=c&state=guess'), 400)
  assert.deepEqual(got, [])
  assert.equal(send(right), 200)
  assert.equal(send(right), 400)
  assert.deepEqual(got, [{ code: 'c' }])
})
