// Base64 of content, encoded and decoded. e2e/content.test.js does the same in browsers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serving } from './serving.js'

const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

test('content of every length and with every byte is encoded and decoded', async (t) => {
  const { exchange } = await serving(t, (_, info) => new Response(info.content))
  for (const length of [1, 2, 3, 4, 253, 254, 255, 256, 0x8000, 0x8001, 0x8002]) {
    const content = Buffer.alloc(length, all)
    // Because of 0xff it is not text.
    content[0] = 0xff
    const bodyBase64 = content.toString('base64')
    assert.equal((await exchange({ method: 'POST', bodyBase64 })).bodyBase64, bodyBase64)
  }
})

test('of a view only its own part of the buffer is encoded', async (t) => {
  const bytes = new Uint8Array(all.buffer, all.byteOffset + 250, 6)
  const { exchange } = await serving(t, () => new Response(bytes))
  assert.equal((await exchange({})).bodyBase64, all.subarray(250).toString('base64'))
})

test('invalid base64 is refused', async (t) => {
  const { exchange } = await serving(t, (_, info) => new Response(info.content))
  for (const bodyBase64 of ['A', 'AA=', 'AA-_', 'AAAA=', 'AA==AA==', 'A*AA', 'AAA\u0100']) {
    assert.equal((await exchange({ method: 'POST', bodyBase64 })).status, 400, bodyBase64)
  }
})
