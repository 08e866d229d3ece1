// The real gateway: a binary made by go build, run with flags on a free loopback port. With CLUSTER=1 in the environment
// it is a cluster, and each request goes to another node than the one before it; with CLUSTER=connections each
// connection does, byte for byte.
import { execFileSync, spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from './steps/run.js'

const startMs = 600_000
// Longer than a gateway waits for running exchanges at its end.
const stopMs = 600_000

let built, builtCommand, builtCluster
const running = new Set()
// The program of a cluster ends its nodes, which would survive its SIGKILL.
const clusters = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
  for (const child of clusters) child.kill()
})

/** The path of the binary. GATEWAY_BINARY names an existing one. */
export function gatewayBinary() {
  return (process.env.GATEWAY_BINARY ||= built ??= build('./server', 'gateway'))
}

/** The path of the command, named reversehttp. COMMAND_BINARY names an existing one. */
export function commandBinary() {
  const path = process.env.COMMAND_BINARY
  return path || (builtCommand ??= build('./sdk-go/cmd/reversehttp', 'reversehttp'))
}

/** The path of the program that runs a cluster. */
function clusterBinary() {
  return (builtCluster ??= build('./e2e/cluster/up', 'cluster'))
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
  /** The URLs of the metrics of a cluster's nodes. */
  nodes = []
  #flags
  #each
  #child
  #log = ''

  /** Each is what goes to another node than the one before: requests or connections. Without it there is one node. */
  constructor(flags, each = { 1: 'requests', connections: 'connections' }[process.env.CLUSTER]) {
    if (process.env.CLUSTER && !each) throw new Error('CLUSTER is 1 or connections')
    this.#flags = flags
    this.#each = each
  }

  /** Starts a gateway with flags. Without --listen it uses a free port. */
  static async start(...flags) {
    const gateway = new Gateway(flags)
    await gateway.start()
    return gateway
  }

  /** Starts three gateways that run as one, each of whose requests or connections goes to another. */
  static async startCluster(each) {
    const gateway = new Gateway([], each)
    await gateway.start()
    return gateway
  }

  /** Starts one in the path shape (/at/{label}/), which programs that cannot resolve *.localhost reach too. */
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
    const [path, flags] = this.#each ? await this.#cluster() : this.#single()
    const child = spawn(path, flags, { stdio: ['ignore', 'pipe', 'pipe'] })
    const group = this.#each ? clusters : running
    group.add(child)
    child.on('exit', () => group.delete(child))
    child.stderr.on('data', (chunk) => (this.#log += chunk))
    this.#child = child
    try {
      await this.#read(child.stdout)
    } catch (e) {
      child.kill(this.#each ? 'SIGTERM' : 'SIGKILL') // it would keep this process alive
      throw e
    }
    this.port = Number(new URL(this.url).port)
  }

  #single() {
    const listen = this.#flags.includes('--listen')
      ? []
      : ['--listen', `127.0.0.1:${this.port ?? 0}`]
    return [gatewayBinary(), [...listen, ...this.#flags]]
  }

  async #cluster() {
    gatewayBinary() // which the program finds by GATEWAY_BINARY
    const flags = [...this.#flags]
    const at = flags.indexOf('--listen')
    const [, listen] = at < 0 ? [] : flags.splice(at, 2)
    const address = listen ?? `127.0.0.1:${this.port ?? (await freePort())}`
    const each = this.#each === 'requests' ? ['--each-request'] : []
    return [clusterBinary(), [...each, '--listen', address, '--', ...flags]]
  }

  /** Reads the URLs that it prints. */
  async #read(stdout) {
    const count = this.#each ? 3 : 0
    const signal = AbortSignal.timeout(startMs)
    this.url = undefined
    this.nodes = []
    for await (const [line] of on(createInterface(stdout), 'line', { signal, close: ['close'] })) {
      this.url ??= line.match(/console: (\S+)/)?.[1]
      const node = line.match(/^node\d+: (\S+)/)?.[1]
      if (node) this.nodes.push(node)
      if (this.url && this.nodes.length === count) return
    }
    throw new Error(`the gateway did not start:\n${this.#log}`)
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
