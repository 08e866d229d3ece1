// Handlers that compute for a long time: polls and answers are sent meanwhile.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './built.js'
import { gatewayApart } from './gateway-apart.js'
import { request, scriptedGateway } from './scripted-gateway.js'

// How long each handler takes. Only handlers advance the clock.
const computeMs = 200
const ids = Array.from({ length: 20 }, (_, i) => `x${i + 1}`)

const forms = {
  'a batch': {
    transports: ['json'],
    send: (gateway, messages) => gateway.call('deliver', ...messages),
  },
  'a stream': {
    transports: ['json', 'ndjson'],
    send: (gateway, messages) =>
      gateway.call('tell', ...messages.map((m, i) => ({ cursor: `s${i}`, ...m }))),
  },
}

test('the poll that acknowledges a batch is sent before the first handler begins', async (t) => {
  const gateway = await gatewayApart(t)
  const { settled } = await serving(t, gateway, () => gateway.blockUntil('polls', 2))
  await gateway.call('deliver', request('x1'))
  assert.deepEqual(await settled(1), [true])
})

for (const [name, { transports, send }] of Object.entries(forms)) {
  for (const [most, concurrency] of [
    ['many', 64],
    ['one', 1],
  ]) {
    test(`each handler of ${name} begins once the previous answer is sent, ${most} at a time`, async (t) => {
      const gateway = await gatewayApart(t, { transports })
      const compute = computing(t)
      let handled = 0
      const handle = () => {
        compute()
        return gateway.blockUntil('answers', handled++)
      }
      const { settled } = await serving(t, gateway, handle, { concurrency })
      // The first round opens connections.
      await send(gateway, [request('x0')])
      await settled(1)
      await send(
        gateway,
        ids.map((id) => request(id)),
      )
      assert.deepEqual(new Set(await settled(1 + ids.length)), new Set([true]))
    })
  }
}

test('only a few handlers that compute after a wait run in one turn of the loop', async (t) => {
  const gateway = await scriptedGateway()
  t.after(() => gateway.close())
  const compute = computing(t)
  const inTurns = [0]
  let turning = true
  const turned = () => {
    if (inTurns.at(-1)) inTurns.push(0)
    if (turning) setImmediate(turned)
  }
  turned()
  const { settled } = await serving(t, gateway, async () => {
    await undefined
    inTurns[inTurns.length - 1]++
    compute()
  })
  await gateway.deliver(...ids.map((id) => request(id)))
  await settled(ids.length)
  turning = false
  assert.equal(
    inTurns.reduce((a, b) => a + b),
    ids.length,
  )
  assert.ok(Math.max(...inTurns) <= 8, `${inTurns} began in each turn`)
})

/** Stops the clock. Returns a function that advances it, like a handler that computes. */
function computing(t) {
  let clockMs = performance.now()
  t.mock.method(performance, 'now', () => clockMs)
  return () => void (clockMs += computeMs)
}

/** Serves a handler. `settled` waits for a number of results, and returns them. */
async function serving(t, gateway, handle, options) {
  const gave = []
  let told = () => {}
  const claim = await serve(
    async () => {
      gave.push(await handle())
      return new Response()
    },
    { gateway: gateway.origin, drainMs: 0, ...options },
  )
  t.after(() => claim.close())
  let ended = 0
  claim.addEventListener('exchange', () => told(++ended))
  async function settled(n) {
    while (ended < n) await new Promise((resolve) => (told = resolve))
    return gave
  }
  return { settled }
}
