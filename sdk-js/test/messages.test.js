import assert from 'node:assert/strict'
import { test } from 'node:test'
import { request, until } from './scripted-gateway.js'
import { serving } from './serving.js'

test('a message that is not an object is skipped, and the poll continues', async (t) => {
  const { gateway, claim } = await serving(t, () => new Response())
  await gateway.deliver(null, 7, 'request', [], true, {}, request('x1'))
  await gateway.deliver(null)
  await gateway.deliver(request('x2'), null)
  await until(() => gateway.seen.answers.length === 2)
  assert.deepEqual(gateway.seen.answers.map(({ id }) => id).sort(), ['x1', 'x2'])
  assert.equal(claim.state, 'online')
  assert.equal(gateway.seen.claims.length, 1)
})
