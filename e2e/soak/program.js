// What program.go does, in Node with sdk-js: program.mjs GATEWAY LABEL. It stands beside the sdk.mjs of its gateway.
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { serve } from './sdk.mjs'

const tokens = 10
const tokenMs = 20
const large = 1 << 20
const encoder = new TextEncoder()

/** Sends tokens, each by itself. */
function streamTokens(signal) {
  let n = 0
  return new ReadableStream({
    async pull(controller) {
      if (n) await sleep(tokenMs, undefined, { signal })
      controller.enqueue(encoder.encode(`${n++}\n`))
      if (n === tokens) controller.close()
    },
  })
}

async function count(stream) {
  let bytes = 0
  for await (const chunk of stream) bytes += chunk.length
  return bytes
}

const handlers = {
  '/small': () => new Response('as small as answers are\n'),
  '/echo': async (request) => new Response(await request.arrayBuffer()),
  '/up': async (request) => new Response(String(await count(request.body))),
  '/down': () => new Response(new Uint8Array(large).fill(0xff)),
  '/tokens': (request) => new Response(streamTokens(request.signal)),
  '/wait': ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
}

const [gateway, label] = process.argv.slice(2)
const claim = await serve((request) => handlers[new URL(request.url).pathname](request), {
  gateway,
  label,
})
console.log(claim.url)
for await (const _ of createInterface(process.stdin)) {
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  console.log(JSON.stringify({ heap: heapUsed + external }))
}
await claim.close()
