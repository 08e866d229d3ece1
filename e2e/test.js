// Runs every check of this repository and reports the results.
//
//   npm test                   all of them
//   node e2e/test.js vet go    only these
//
// It needs Node and Go. It installs anything else that is missing: npm packages with npm ci, and programs with apt
// if it runs as root. With CI set, a check or a test that cannot run here fails.
import { gatewayBinary } from './gateway.js'
import { auditGo, auditNPM } from './steps/audit.js'
import { inCI } from './steps/ci.js'
import { goTests, nodeTests } from './steps/count.js'
import { CannotRun, installPackages, installPrograms } from './steps/install.js'
import { KeptOutput, say } from './steps/output.js'
import { capture, run } from './steps/run.js'

// It simulates thousands of visitors in its own process, and measures the memory of another. The race detector
// would take most of its time.
const withoutRace = 'reversehttp/e2e/abuse'

// These take longest, so they begin first.
const longest = ['sdk-go', 'server/family', 'e2e/bounds', 'e2e/faults', 'server/gateway'].map(
  (folder) => `reversehttp/${folder}`,
)

const bin = (name) => `node_modules/.bin/${name}`

// A step succeeds, fails by throwing, or returns counts of tests and what it could not check.
const steps = {
  npm: installPackages,
  programs: installPrograms,
  gofmt,
  vet: () => run('go', 'vet', './...'),
  staticcheck: () => run('go', 'tool', 'staticcheck', './...'),
  prettier: () => run(bin('prettier'), '--check', '--log-level=warn', '.'),
  tsc,
  govulncheck: () => auditGo(),
  'npm-audit': auditNPM,
  go: testGo,
  'sdk-js': testSDK,
  web: () => nodeTests('web'),
  e2e: testWhole,
}

const chosen = process.argv.slice(2)
const unknown = chosen.filter((name) => !steps[name])
if (unknown.length) {
  console.error(`no step ${unknown.join(', ')}; there are ${Object.keys(steps).join(', ')}`)
  process.exit(2)
}

// These steps mostly wait. They run one after another in parallel with the Go tests, and print their whole output
// afterwards.
const besideGo = ['sdk-js', 'web', 'e2e']

// Every later step may need npm packages.
const wanted = Object.keys(steps).filter(
  (name) => !chosen.length || name === 'npm' || chosen.includes(name),
)
const rows = []
const beside = new Map()
for (const name of wanted) {
  const running = beside.get(name)
  if (!running && name === 'go') runBeside(wanted.filter((other) => besideGo.includes(other)))
  console.log(`\n== ${name}`)
  running?.output.show()
  rows.push({ name, ...(await (running?.row ?? perform(steps[name]))) })
}
summarise()

function runBeside(names) {
  let before
  for (const name of names) {
    const output = new KeptOutput()
    const row = Promise.resolve(before).then(() => output.keep(() => perform(steps[name])))
    before = row
    beside.set(name, { output, row })
  }
}

async function perform(step) {
  const sinceMs = performance.now()
  const count = await counted(step)
  return { ...count, seconds: (performance.now() - sinceMs) / 1000 }
}

async function counted(step) {
  try {
    const { passed = 1, failed = 0, skipped = [], unchecked = [] } = (await step()) ?? {}
    return { passed, failed, skipped, unchecked }
  } catch (e) {
    say(`FAIL  ${e.message}`)
    if (e instanceof CannotRun && !inCI) return { passed: 0, failed: 0, skipped: [e.message] }
    return { passed: 0, failed: 1, skipped: [] }
  }
}

function summarise() {
  console.log('\nstep         seconds  passed  failed  skipped')
  for (const { name, seconds, passed, failed, skipped } of rows) {
    const numbers = [passed, failed, skipped.length].map((n) => String(n).padStart(8))
    console.log(name.padEnd(12) + seconds.toFixed(1).padStart(8) + numbers.join(''))
  }
  const skipped = rows.flatMap((r) => r.skipped.map((why) => `${r.name}: ${why}`))
  if (skipped.length) console.log(`\nNOT RUN${inCI ? ', which is a failure here' : ''}:`)
  for (const why of skipped) console.log(`  ${why}`)
  for (const line of rows.flatMap((r) => r.unchecked ?? [])) console.log(`\n${line}`)
  const sum = (key) => rows.reduce((n, r) => n + r[key], 0)
  const failed = sum('failed') + (inCI ? skipped.length : 0)
  console.log(`\n${sum('passed')} passed, ${failed} failed`)
  process.exitCode = failed ? 1 : 0
}

async function testGo() {
  const { stdout } = await capture('go', 'list', './...')
  const packages = new Set([...longest, ...stdout.trim().split('\n')])
  packages.delete(withoutRace)
  const raced = await goTests([...packages])
  const rest = await goTests([withoutRace], { race: false })
  return {
    passed: raced.passed + rest.passed,
    failed: raced.failed + rest.failed,
    skipped: [...raced.skipped, ...rest.skipped],
  }
}

async function tsc() {
  for (const project of ['sdk-js', 'web']) await run(bin('tsc'), '-p', project, '--noEmit')
}

async function gofmt() {
  // Only files that git tracks or may track: not node_modules, not nested clones.
  const { stdout: files } = await capture('git', 'ls-files', '-co', '--exclude-standard', '*.go')
  const { code, stdout } = await capture('gofmt', '-l', ...files.trim().split('\n'))
  if (code !== 0 || stdout) throw new Error(`these need gofmt -w:\n${stdout}`)
}

async function testSDK() {
  await run('npm', 'run', '--silent', 'build', '--workspace', 'sdk-js')
  return nodeTests('sdk-js', { concurrency: 2 })
}

/** Files run two at a time, since each mostly waits for its own gateway and browser. */
async function testWhole() {
  const env = { GATEWAY_BINARY: gatewayBinary() }
  return nodeTests('e2e', { env, concurrency: 2 })
}
