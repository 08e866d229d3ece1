// The real gateway: a binary made by go build, run with flags on a free loopback port.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from './steps/run.js'

const startMs = 600_000
// Longer than a gateway waits for running exchanges at its end.
const stopMs = 600_000

let built
const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** The path of the binary. GATEWAY_BINARY names an existing one. */
export function gatewayBinary() {
  return (process.env.GATEWAY_BINARY ||= built ??= build('./server', 'gateway'))
}

/** Builds a Go program in a folder that is removed with this process, and returns its path. */
export function build(source, name) {
  const dir = mkdtempSync(join(tmpdir(), 'reversehttp-e2e-'))
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, name)
  execFileSync('go', ['build', '-o', path, source], { cwd: root, stdio: 'inherit' })
  return path
}

/** A running gateway. */
export class Gateway {
  /** The control origin, with a final slash. */
  url
  port
  #flags
  #child
  #log = ''

  constructor(flags) {
    this.#flags = flags
  }

  /** Starts a gateway with flags. Without --listen it uses a free port. */
  static async start(...flags) {
    const gateway = new Gateway(flags)
    await gateway.start()
    return gateway
  }

  /** Starts one whose claims share its origin, each below /at/{label}/: programs other than browsers reach that, too. */
  static async startBelowPath() {
    const port = await freePort()
    const shape = `http://localhost:${port}/at/{label}/`
    return Gateway.start('--listen', `127.0.0.1:${port}`, '--public-url', shape)
  }

  /** The log of all its runs. */
  get log() {
    return this.#log
  }

  /** Starts it, on the same port as before if there was one. */
  async start() {
    const listen = this.#flags.includes('--listen')
      ? []
      : ['--listen', `127.0.0.1:${this.port ?? 0}`]
    const child = spawn(gatewayBinary(), [...listen, ...this.#flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    child.on('exit', () => running.delete(child))
    child.stderr.on('data', (chunk) => (this.#log += chunk))
    this.#child = child
    const [line] = await Promise.race([
      once(createInterface(child.stdout), 'line', { signal: AbortSignal.timeout(startMs) }),
      once(child, 'exit').then(() => {
        throw new Error(`the gateway did not start:\n${this.#log}`)
      }),
    ])
    this.url = line.match(/console: (\S+)/)?.[1]
    if (!this.url) throw new Error(`no URL of the console in ${JSON.stringify(line)}`)
    this.port = Number(new URL(this.url).port)
  }

  /** Ends it with a signal, waits for its end, and returns its exit code. May be called again. */
  async stop(signal = 'SIGTERM') {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const ended = once(child, 'exit')
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), stopMs)
    const [code] = await ended
    clearTimeout(late)
    return code
  }

  /** Ends it with a signal and starts it again on the same port. */
  async restart(signal) {
    await this.stop(signal)
    await this.start()
  }
}

/** Starts a gateway that must fail to start. Returns its exit code and standard error. */
export async function startError(...flags) {
  const child = spawn(gatewayBinary(), flags, { stdio: ['ignore', 'ignore', 'pipe'] })
  running.add(child)
  let stderr = ''
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const late = setTimeout(() => child.kill('SIGKILL'), startMs)
  const [code] = await once(child, 'close')
  clearTimeout(late)
  running.delete(child)
  return { code, stderr }
}

/** Returns a free port, for flags that must name it. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
