// Runs every check of this repository and reports the results.
//
//   npm test                   all of them
//   node e2e/test.js vet go    only these
//
// It needs Node and Go. The steps npm and programs are those of npm run setup: they install npm packages, and programs
// with apt if it runs as root. With CI set, a check or a test that cannot run here fails.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auditGo, auditNPM } from './steps/audit.js'
import { raced, released } from './steps/build.js'
import { inCI } from './steps/ci.js'
import { goTests, nodeTests } from './steps/count.js'
import { CannotRun, downloadServer, installPackages, installPrograms } from './steps/install.js'
import { KeptOutput, say } from './steps/output.js'
import { capture, run, runWith } from './steps/run.js'

Object.assign(process.env, released)

// These test processes of their own, which have no race detector: gateways that they attack, that are one, that they
// measure, and of releases. The first simulates thousands of visitors, the second and the third send hundreds of
// requests a second, and the last runs nothing concurrently. The race detector would take most of their time.
const withoutRace = ['e2e/abuse', 'e2e/cluster', 'e2e/bench', 'e2e/releases', 'sdk-go/release'].map(
  (folder) => `reversehttp/${folder}`,
)

// These take longest, so they begin first.
const longest = [
  'sdk-go',
  'server/family',
  'e2e/bounds',
  'e2e/faults',
  'server/gateway',
  'sdk-go/cmd/reversehttp',
  'server/process',
].map((folder) => `reversehttp/${folder}`)

const bin = (name) => `node_modules/.bin/${name}`

// A step succeeds, fails by throwing, or returns counts of tests and what it could not check.
const steps = {
  npm: installPackages,
  programs: installPrograms,
  nats: downloadServer,
  gofmt,
  gateway: buildGateway,
  vet: () => runWith(raced, 'go', 'vet', './...'),
  staticcheck,
  prettier: () => run(bin('prettier'), '--check', '--log-level=warn', '.'),
  tsc,
  typedoc: () => run('npm', 'run', '--silent', 'check', '--workspace', 'sdk-js/typedoc'),
  govulncheck: () => auditGo(),
  'npm-audit': auditNPM,
  go: testGo,
  'sdk-js': testSDK,
  web: () => nodeTests('web'),
  e2e: () => nodeTests('e2e'),
}

const chosen = process.argv.slice(2)
const unknown = chosen.filter((name) => !steps[name])
if (unknown.length) {
  console.error(`no step ${unknown.join(', ')}; there are ${Object.keys(steps).join(', ')}`)
  process.exit(2)
}

// Steps run concurrently, each after those that make what it uses, or that would compile the same at the same time.
// Some wait for the network, and those of Node mostly wait for what they test. The output is in the order of the steps.
const after = {
  // go looks for packages in every folder, so none may come and go meanwhile.
  vet: ['npm', 'programs', 'gateway'],
  staticcheck: ['vet'],
  prettier: ['npm', 'gofmt'],
  tsc: ['prettier'],
  typedoc: ['tsc'],
  govulncheck: ['staticcheck'],
  'npm-audit': ['tsc'],
  go: ['vet'],
  'sdk-js': ['programs', 'gateway', 'tsc'],
  web: ['sdk-js'],
  e2e: ['web'],
}

// Every step may need npm packages, and most start a gateway.
const always = ['npm', 'gateway']
const wanted = Object.keys(steps).filter(
  (name) => !chosen.length || always.includes(name) || chosen.includes(name),
)
const began = new Map()
for (const name of wanted) {
  const output = new KeptOutput()
  const before = waitsFor(name).map((other) => began.get(other).row)
  const row = Promise.all(before).then(() => output.keep(() => perform(steps[name])))
  began.set(name, { output, row })
}
const rows = []
for (const [name, { output, row }] of began) {
  console.log(`\n== ${name}`)
  output.show()
  rows.push({ name, ...(await row) })
}
summarise()

/** Returns the wanted steps that a step waits for, also by way of one that is not wanted. */
function waitsFor(name) {
  return (after[name] ?? []).flatMap((other) => (wanted.includes(other) ? other : waitsFor(other)))
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
  for (const name of withoutRace) packages.delete(name)
  // Side by side: those without the race detector mostly wait.
  const counts = [goTests([...packages]), goTests(withoutRace, { race: false })]
  const [raced, rest] = await Promise.all(counts)
  return {
    passed: raced.passed + rest.passed,
    failed: raced.failed + rest.failed,
    skipped: [...raced.skipped, ...rest.skipped],
  }
}

async function tsc() {
  for (const project of ['sdk-js', 'web']) await run(bin('tsc'), '-p', project, '--noEmit')
}

async function staticcheck() {
  const path = join(folder(), 'staticcheck')
  await run('go', 'build', '-o', path, 'honnef.co/go/tools/cmd/staticcheck')
  await runWith(raced, path, './...')
}

async function gofmt() {
  // Only files that git tracks or may track: not node_modules, not nested clones.
  const { stdout: files } = await capture('git', 'ls-files', '-co', '--exclude-standard', '*.go')
  const { code, stdout } = await capture('gofmt', '-l', ...files.trim().split('\n'))
  if (code !== 0 || stdout) throw new Error(`these need gofmt -w:\n${stdout}`)
}

async function testSDK() {
  await run('npm', 'run', '--silent', 'build', '--workspace', 'reversehttp')
  return nodeTests('sdk-js')
}

/** Builds the gateway and the command that tests start as processes, of Go too. */
async function buildGateway() {
  const { GATEWAY_BINARY, COMMAND_BINARY } = process.env
  if (GATEWAY_BINARY && COMMAND_BINARY) return
  const dir = folder()
  await run('go', 'build', '-o', dir, './server', './sdk-go/cmd/reversehttp')
  process.env.GATEWAY_BINARY ||= join(dir, 'server')
  process.env.COMMAND_BINARY ||= join(dir, 'reversehttp')
}

/** Makes a folder that goes with this process. */
function folder() {
  const dir = mkdtempSync(join(tmpdir(), 'reversehttp-test-'))
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  return dir
}
