// Answers vectors with the example for Node: example.js GATEWAY LABEL ANSWERS. Prints a report for each request.
import { readFileSync } from 'node:fs'
import { serve } from '../../schema/examples/server.mjs'

const [gateway, label, path] = process.argv.slice(2)
const answers = JSON.parse(readFileSync(path, 'utf8'))

function handler(request, content) {
  console.log(JSON.stringify({ ...request, bodyBase64: content.toString('base64') }))
  return answers[request.headers.find((f) => f[0] === 'Vector')[1]]
}

await serve(handler, gateway, label)
