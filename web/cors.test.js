// Calls of pages of other origins, to handlers that say nothing of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withCORS } from './pages/cors.js'

const url = 'http://ann.localhost:8080/'
const call = (handler, { method = 'GET', headers = [], wanted = true } = {}) =>
  withCORS(handler, () => wanted)(new Request(url, { method }), { method, headers })

test('an answer may be read by any page, with its fields', async () => {
  const own = () => new Response('made', { status: 201, headers: { 'X-Own': '1' } })
  const { status, headers } = await call(own)
  assert.equal(status, 201)
  assert.deepEqual(
    ['Access-Control-Allow-Origin', 'Access-Control-Expose-Headers', 'X-Own'].map((n) =>
      headers.get(n),
    ),
    ['*', '*', '1'],
  )
  assert.equal(await (await call(own)).text(), 'made')
  const [unwanted] = [await call(own, { wanted: false })]
  assert.equal(unwanted.headers.has('Access-Control-Allow-Origin'), false)
})

test('a preflight that no handler knows is answered with what it asks for', async () => {
  const none = () => new Response('no route', { status: 404 })
  const headers = [
    ['Access-Control-Request-Method', 'PUT'],
    ['Access-Control-Request-Headers', 'content-type, x-key'],
  ]
  const response = await call(none, { method: 'OPTIONS', headers })
  assert.equal(response.status, 204)
  assert.equal(response.headers.get('Access-Control-Allow-Methods'), 'PUT')
  assert.equal(response.headers.get('Access-Control-Allow-Headers'), 'content-type, x-key')
  // OPTIONS that is no preflight is the handler's.
  assert.equal((await call(none, { method: 'OPTIONS' })).status, 404)
})

test('what a handler says itself stays', async () => {
  const own = () =>
    new Response('', {
      status: 403,
      headers: { 'Access-Control-Allow-Origin': 'https://a.example' },
    })
  const headers = [['Access-Control-Request-Method', 'PUT']]
  const response = await call(own, { method: 'OPTIONS', headers })
  assert.equal(response.status, 403)
  assert.equal(response.headers.get('Access-Control-Allow-Origin'), 'https://a.example')
})
