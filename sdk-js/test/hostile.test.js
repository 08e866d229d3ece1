// A gateway that tries to read the network of a program: schema/README.md, 2.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { serve } from './built.js'
import { limits, request, scriptedGateway, until } from './scripted-gateway.js'

/** A server that must get no request. Returns the requests that it got, also for WebSockets. */
async function bystander(t) {
  const asked = []
  const server = createServer((req, res) => {
    asked.push(`${req.method} ${req.url} ${req.headers.authorization}`)
    res.setHeader('Access-Control-Allow-Origin', '*')
    res.end('{"secret":"of the network"}')
  })
  server.on('upgrade', (req, socket) => {
    asked.push(`upgrade ${req.url}`)
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return { asked, origin: `http://127.0.0.1:${server.address().port}` }
}

/** A gateway that answers some paths with `answers`, and the others as usual. */
async function hostile(t, answers) {
  const came = []
  const server = createServer(async (req, res) => {
    came.push(`${req.method} ${req.url}`)
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    const json = (status, value) =>
      res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
    const usual = {
      '/.well-known/reversehttp': { version: 1, claims: `${origin}/claims`, transports: ['json'] },
      '/claims': {
        label: 'demo',
        token: 't0',
        url: 'http://demo.test/',
        lease: 60,
        timeoutMs: 60000,
        cursor: 'c0',
        limits,
        claim: `${origin}/claim`,
        session: `${origin}/session`,
        requests: `${origin}/requests`,
        responses: `${origin}/responses`,
      },
      '/content': 'content',
    }
    const answer = answers[req.url]
    if (typeof answer === 'string') return res.writeHead(307, { Location: answer }).end()
    if (req.url === '/requests') {
      const [first] = answer?.splice(0, 1) ?? []
      return first ? json(200, { cursor: 'c1', messages: [first] }) : undefined
    }
    if (req.url === '/responses') {
      const { messages } = JSON.parse(Buffer.concat(chunks))
      return json(202, { results: messages.map(({ id }) => ({ id, status: 'accepted' })) })
    }
    const known = usual[req.url]
    if (known) json(200, answer ? { ...known, ...answer } : known)
    else res.writeHead(204).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${server.address().port}`
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { origin, came }
}

const hello = () => new Response('hello')

for (const member of ['claim', 'session', 'requests', 'responses', 'link', 'exchanges']) {
  test(`a claim whose ${member} is on another origin is refused`, async (t) => {
    const { origin, asked } = await bystander(t)
    const url = `${origin}/secret`
    const { origin: gateway } = await hostile(t, {
      '/claims': { [member]: member === 'link' ? url.replace('http', 'ws') : url },
    })
    await assert.rejects(serve(hello, { gateway, token: 'mine' }), {
      code: 'unexpected',
      message: new RegExp(origin.slice(4)),
    })
    assert.deepEqual(asked, [])
  })
}

test('a discovery document that names another origin is refused', async (t) => {
  const { origin, asked } = await bystander(t)
  const { origin: gateway } = await hostile(t, {
    '/.well-known/reversehttp': { claims: `${origin}/claims` },
  })
  await assert.rejects(serve(hello, { gateway, key: 'key', token: 'mine' }), {
    code: 'unexpected',
    message: new RegExp(origin),
  })
  assert.deepEqual(asked, [])
})

test('content is fetched only from the gateway', async (t) => {
  const { origin, asked } = await bystander(t)
  for (const bodyUrl of [`${origin}/secret`, 'redirect']) {
    const requests = []
    const { origin: gateway } = await hostile(t, {
      '/requests': requests,
      '/content': `${origin}/secret`,
    })
    requests.push(
      request('x1', {
        method: 'POST',
        bodyUrl: bodyUrl === 'redirect' ? `${gateway}/content` : bodyUrl,
      }),
    )
    let claim
    const error = await new Promise((resolve, reject) => {
      serve(
        async (request) => {
          await request.text().then(reject, resolve)
          return hello()
        },
        { gateway, logger: null },
      ).then((c) => (claim = c), reject)
    })
    assert.equal(error.code, 'unexpected')
    if (bodyUrl !== 'redirect') assert.match(error.message, new RegExp(origin))
    await claim.close()
  }
  assert.deepEqual(asked, [])
})

for (const [path, comes] of [
  ['/claims', 'POST /claims'],
  ['/requests', 'GET /requests'],
  ['/responses', 'POST /responses'],
  ['/session', 'DELETE /session'],
  ['/claim', 'DELETE /claim'],
]) {
  test(`a redirect from ${path} is not followed`, async (t) => {
    const { origin, asked } = await bystander(t)
    const answers = { [path]: `${origin}/secret` }
    if (path !== '/requests') answers['/requests'] = [request('x1')]
    const { origin: gateway, came } = await hostile(t, answers)
    const claiming = serve(hello, { gateway, token: 'mine', logger: null })
    if (path === '/claims') await assert.rejects(claiming, { code: 'unexpected', status: 307 })
    else {
      const claim = await claiming
      const most = /DELETE/.test(comes) ? 1 : 2
      if (path === '/claim') await assert.rejects(claim.delete(), { status: 307 })
      else if (path === '/session') await claim.close()
      await until(() => came.filter((what) => what === comes).length >= most)
      await claim.close()
    }
    assert.deepEqual(asked, [])
  })
}

test('a redirect of the discovery leads to the gateway', async (t) => {
  const { origin } = await hostile(t, {})
  const { origin: gateway } = await hostile(t, {
    '/.well-known/reversehttp': `${origin}/.well-known/reversehttp`,
  })
  const claim = await serve(hello, { gateway })
  assert.equal(claim.label, 'demo')
  await claim.close()
})

test('a local gateway may be reached by another name of this machine', async (t) => {
  const gateway = await scriptedGateway({})
  t.after(() => gateway.close())
  const { port } = new URL(gateway.origin)
  const claim = await serve(hello, { gateway: `http://localhost:${port}` })
  await claim.close()
})
