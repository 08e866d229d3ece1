// Lets the conformance kit judge a runtime: speak.js RUNTIME. schema/conformance/README.md describes their lines.
import { createInterface } from 'node:readline'
import { exchanges } from '../vectors.js'
import { writeAnswers } from './answers.js'
import { runtimes } from './runtime.js'

const start = runtimes[process.argv[2]]
const lines = createInterface(process.stdin)[Symbol.asyncIterator]()
const { gateway, label } = JSON.parse((await lines.next()).value)
// The runtimes have the answers of all cases, which are the same as those that the kit writes.
const answers = await writeAnswers(exchanges().map((c) => [c.name, c.response ?? { status: 204 }]))
let n = 0
const report = ({ request: _, ...seen }) => console.log(JSON.stringify({ n: n++, ...seen }))
const runtime = await start(gateway, label, answers, report)
console.log(JSON.stringify({ url: label }))
while (!(await lines.next()).done);
await runtime.stop()
await answers.remove()
process.exit()
