// Starts the runtimes that answer vectors, each a handler with a given label. A runtime calls report with each request as
// its own API shows it, until stop is called.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from '../gateway.js'
import { root } from '../steps/run.js'
import { vectorHandler } from './handler.js'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
/** The path of an example. */
export const example = (name) => here(`../../schema/examples/${name}`)
/** The path of a small client. */
export const client = (name) => here(`../../schema/clients/${name}`)
const startMs = 600_000

/** A program in Go. */
function go(gateway, label, answers, report) {
  const path = build('./e2e/runtimes/go', 'go')
  return program(path, [gateway, label, answers.path], {}, report)
}

/** A program in Node, by streams. */
function node(gateway, label, answers, report) {
  return nodeBy('streams', gateway, label, answers, report)
}

function nodeBy(way, gateway, label, answers, report) {
  execFileSync('go', ['run', './sdk-js/pack'], { cwd: root, stdio: 'inherit' })
  return program(process.execPath, [here('node.js'), gateway, label, answers.path, way], {}, report)
}

// debug shows its input on standard error.
const filter = `debug | ($ENV.ANSWERS | fromjson)[.headers[] | select(.[0] == "Vector")[1]]
  | if .bodyRepeat then .body = .bodyRepeat.text * .bodyRepeat.count | del(.bodyRepeat) else . end`

/** The loop around curl and jq. */
function shell(gateway, label, answers, report) {
  const args = [example('server.sh'), gateway, JSON.stringify({ label }), filter]
  return program('bash', args, { ANSWERS: JSON.stringify(answers.asWritten) }, report)
}

/** The example in Python. */
function python(gateway, label, answers, report) {
  // -B writes no compiled file beside the example.
  const args = ['-B', here('example.py'), example(''), gateway, label, answers.path]
  return program('python3', args, {}, report)
}

/** The example in Perl. */
function perl(gateway, label, answers, report) {
  const args = [here('example.pl'), example(''), gateway, label, answers.path]
  return program('perl', args, {}, report)
}

/** The example for Node, without the SDK. */
function plainNode(gateway, label, answers, report) {
  const args = [here('example.js'), gateway, label, answers.path]
  return program(process.execPath, args, {}, report)
}

/** The example in Java. */
function java(gateway, label, answers, report) {
  return javaProgram('Example', gateway, label, answers, report)
}

/** The small client in Python. */
function pythonClient(gateway, label, answers, report) {
  const args = ['-B', here('client.py'), client(''), gateway, label, answers.path]
  return program('python3', args, {}, report)
}

/** The small client in Java. */
function javaClient(gateway, label, answers, report) {
  return javaProgram('Client', gateway, label, answers, report)
}

let classes

function javaProgram(name, gateway, label, answers, report) {
  const ours = ['Client.java', 'Example.java'].map(here)
  classes ??= compile(client('ReverseHttp.java'), example('Server.java'), ...ours)
  const args = [...javaFlags, '-cp', classes, name, gateway, label, answers.path]
  return program('java', args, {}, report)
}

// Programs that run for seconds do not need optimised code.
export const javaFlags = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto']

/** Compiles Java sources into a folder that is removed with this process, and returns its path. */
export function compile(...sources) {
  const dir = mkdtempSync(join(tmpdir(), 'reversehttp-java-'))
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  const flags = javaFlags.map((flag) => `-J${flag}`)
  const args = [...flags, '-Xlint:all', '-Werror', '-d', dir, ...sources]
  execFileSync('javac', args, { stdio: 'inherit' })
  return dir
}

/** A page of the gateway, by a link. */
function page(...of) {
  return pageBy('', ...of)
}

/** A page of the gateway, with more options. */
async function pageBy(options, gateway, label, answers, report, browser) {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.exposeFunction('report', report)
  await page.goto(gateway)
  await page.evaluate(`(async () => {
    const { serve } = await import('/sdk.js')
    const handler = (${vectorHandler})(${JSON.stringify(answers.inBase64)}, report)
    globalThis.claim = await serve(handler, { label: ${JSON.stringify(label)}, ${options} })
  })()`)
  return { stop: () => context.close() }
}

/** All runtimes, by their names in schema/vectors/README.md. */
export const runtimes = {
  'sdk-go': go,
  node,
  chromium: page,
  firefox: page,
  shell,
  python,
  perl,
  java,
  'plain-node': plainNode,
  'python-client': pythonClient,
  'java-client': javaClient,
}

/** The same by another way than their default: the name of the runtime, and the function that starts it. */
export const otherWays = {
  'node-by-link': ['node', (...of) => nodeBy('link', ...of)],
  'chromium-by-stream': ['chromium', (...of) => pageBy('WebSocket: null', ...of)],
}

/** Starts a program. Its first line means that it is ready; each report is another line, or the output of jq's debug. */
export async function program(command, args, env, report) {
  // A process group of its own, so that the shell's curl ends with it.
  const child = spawn(command, args, {
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close')
  const ready = deferred()
  createInterface(child.stdout).on('line', (line) => {
    const seen = line.startsWith('{') ? JSON.parse(line) : { url: line }
    if (seen.headers) report(seen)
    else ready.resolve()
  })
  createInterface(child.stderr).on('line', (line) => {
    if (line.startsWith('["DEBUG:",')) report(JSON.parse(line)[1])
    else console.error(`${command}: ${line}`)
  })
  ended.then(([code]) => ready.reject(new Error(`${command} ended with ${code}`)))
  const late = setTimeout(() => ready.reject(new Error(`${command} is not ready`)), startMs)
  await ready.promise.finally(() => clearTimeout(late))
  return {
    pid: child.pid,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      process.kill(-child.pid, 'SIGTERM')
      await ended
    },
  }
}

function deferred() {
  const d = {}
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }))
  return d
}
