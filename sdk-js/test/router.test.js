import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Hono } from 'hono'
import { AutoRouter } from 'itty-router'
import { serving } from './serving.js'

test('a Hono app is served unchanged', async (t) => {
  const app = new Hono()
  app.get('/hi/:name', (c) => c.json({ hi: c.req.param('name'), from: c.env.remoteAddr }))
  app.post('/form', async (c) => c.text(JSON.stringify(await c.req.parseBody())))
  const { exchange } = await serving(t, app.fetch)
  const base = 'http://localhost:8080/at/demo/'
  const hi = await exchange({ base, target: '/at/demo/hi/you' })
  assert.deepEqual(JSON.parse(hi.body), { hi: 'you', from: '127.0.0.1:5' })
  const headers = [['Content-Type', 'application/x-www-form-urlencoded']]
  assert.equal(
    (await exchange({ method: 'POST', target: '/form', headers, body: 'a=1' })).body,
    '{"a":"1"}',
  )
  assert.equal((await exchange({ target: '/none' })).status, 404)
})

test('an itty-router app is served unchanged', async (t) => {
  const router = AutoRouter()
  router.get('/hi/:name', ({ name }) => `hi ${name}`)
  router.post('/json', async (r) => ({ got: await r.json() }))
  const { exchange } = await serving(t, router.fetch)
  assert.equal((await exchange({ target: '/hi/you' })).body, '"hi you"')
  const headers = [['Content-Type', 'application/json']]
  const json = await exchange({ method: 'POST', target: '/json', headers, body: '{"a":1}' })
  assert.equal(json.body, '{"got":{"a":1}}')
  assert.equal((await exchange({ target: '/none' })).status, 404)
})
