// Links that carry code: what comes back from one, and what is refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeOf, hasCode, mostCode, toFragment } from './pages/code-link.js'

test('a link brings the code back, character for character', async () => {
  for (const code of ['', "serve(() => new Response('é ✓ 🎲'))\n", 'x\r\ny\0'.repeat(500)]) {
    const fragment = await toFragment(code)
    assert.ok(hasCode(fragment))
    assert.match(fragment, /^#code=[\w-]*$/)
    assert.equal(await codeOf(fragment), code)
  }
})

test('what is damaged or too long is refused', async () => {
  const fragment = await toFragment('serve(() => new Response())'.repeat(9))
  for (const wrong of ['#code=', '#code=%%%', fragment.slice(0, -9), '#code=AAAA']) {
    await assert.rejects(codeOf(wrong), /damaged/, wrong)
  }
  await assert.rejects(codeOf(`#code=${'A'.repeat(50_000)}`), /too long/)
  await assert.rejects(toFragment('x'.repeat(mostCode + 1)), /too long/)
  assert.ok(!hasCode('#/exchange/1') && !hasCode(''))
})

test('a small link with much code in it is read no further than it may be', async () => {
  const bytes = new Uint8Array(
    await new Response(
      new Blob(['x'.repeat(1 << 24)]).stream().pipeThrough(new CompressionStream('deflate-raw')),
    ).arrayBuffer(),
  )
  const bomb = `#code=${Buffer.from(bytes).toString('base64url')}`
  assert.ok(bomb.length < 48 * 1024)
  await assert.rejects(codeOf(bomb), /too long/)
})
