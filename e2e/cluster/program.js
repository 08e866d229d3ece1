// Serves labels by the SDK until its standard input ends, and writes what its handlers do as a history
// (check/README.md): node program.js GATEWAY LABEL…
import { serve } from 'reversehttp'

const [gateway, ...labels] = process.argv.slice(2)

const record = (event) =>
  process.stdout.write(`{"at":${process.hrtime.bigint()},${JSON.stringify(event).slice(1)}\n`)

async function handle(request, info) {
  const id = request.headers.get('Request-Id')
  record({ kind: 'begin', id, exchange: info.id, attempt: info.attempt })
  const content = `${id} ${await request.text()}`
  record({ kind: 'answer', id, exchange: info.id, content })
  return new Response(content)
}

const claims = await Promise.all(
  labels.map((label) => serve(handle, { gateway, label, token: 'a-token-of-the-test' })),
)
process.stdout.write('\n') // all are served
process.stdin.resume().on('end', async () => {
  await Promise.all(claims.map((claim) => claim.close()))
  process.exit()
})
