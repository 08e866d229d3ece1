// Answers vectors with sdk-js in Node: node.js GATEWAY LABEL ANSWERS [link]. Prints a report for each request.
import { readFileSync } from 'node:fs'
import WebSocket from 'ws'
import { serve } from '../../sdk-js/dist/index.js'
import { vectorHandler } from './handler.js'

const [gateway, label, path, way] = process.argv.slice(2)
const answers = JSON.parse(readFileSync(path, 'utf8'))
const claim = await serve(
  vectorHandler(answers, (seen) => console.log(JSON.stringify(seen))),
  { gateway, label, WebSocket: way === 'link' ? WebSocket : null },
)
claim.addEventListener('error', (e) => console.error(e.message))
console.log(JSON.stringify({ url: claim.url }))
process.once('SIGTERM', () => void claim.close())
