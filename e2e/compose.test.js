// The services of server/deploy/compose.yaml and compose-cluster.yaml: files and services that they name exist, and the
// gateways of the latter run as one with their variables.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { commandBinary } from './gateway.js'
import { noNATS, startNATS } from './nats.js'
import { root } from './steps/run.js'
import { until } from './until.js'

const deploy = join(root, 'server/deploy')
const read = (name) => readFile(join(deploy, name), 'utf8')
const compose = async (name) => parse(await read(name), { merge: true, strict: true })
const several = await compose('compose-cluster.yaml')
const nodes = Object.entries(several.services).filter(([, s]) => s.environment?.REVERSEHTTP_NODE)

test('the files, volumes and services that services name exist', async () => {
  for (const { services, volumes } of [await compose('compose.yaml'), several]) {
    for (const [name, service] of Object.entries(services)) {
      const { build, network_mode, depends_on = [], volumes: mounts = [] } = service
      if (build) await access(join(deploy, build.context, build.dockerfile))
      for (const mount of mounts) {
        const [from] = mount.split(':')
        if (from.startsWith('./')) await access(join(deploy, from))
        else if (!from.startsWith('/')) assert.ok(from in volumes, `${name}: ${from}`)
      }
      const others = Array.isArray(depends_on) ? depends_on : Object.keys(depends_on)
      if (network_mode) others.push(network_mode.replace('service:', ''))
      for (const other of others) assert.ok(other in services, `${name}: ${other}`)
    }
  }
})

test('Caddy knows each node, and each node has a name, ports and time to end', async () => {
  const of = (name) => nodes.map(([, service]) => service.environment[name])
  assert.deepEqual(
    of('REVERSEHTTP_NODE'),
    nodes.map(([name]) => name),
  )
  for (const name of ['REVERSEHTTP_LISTEN', 'REVERSEHTTP_ADMIN_LISTEN'])
    assert.equal(new Set(of(name)).size, 3, name)
  const caddyfile = await read('Caddyfile.cluster')
  assert.ok(caddyfile.includes(`reverse_proxy ${of('REVERSEHTTP_LISTEN').join(' ')} {`))
  const readme = await readFile(join(root, 'server/README.md'), 'utf8')
  const [, shown] = readme.match(/^ {4}reverse_proxy .* \{\n([^}]*)^ {4}\}$/m)
  for (const line of shown.trim().split('\n'))
    assert.ok(caddyfile.includes(`\t\t${line.trim()}\n`), `${line.trim()} of server/README.md`)
  const certificate = several.services.caddy.volumes.find((mount) => mount.startsWith('/etc/'))
  assert.ok(caddyfile.includes(`tls ${certificate.split(':')[1]}/cert.pem`))
  for (const [, { environment, stop_grace_period }] of nodes) {
    assert.equal(environment.REVERSEHTTP_ADMIN, `http://${environment.REVERSEHTTP_ADMIN_LISTEN}`)
    const drain = 30 + Number(environment.REVERSEHTTP_DRAIN_DELAY.match(/^(\d+)s$/)[1])
    assert.ok(Number(stop_grace_period.match(/^(\d+)s$/)[1]) > drain + 2)
  }
})

// Each node has its own loopback address, so that all can use the ports of the file.
const noAddresses = process.platform !== 'linux' && 'only Linux has 127.0.0.0/8 without more'

test('the nodes run as one, and their health checks succeed', { skip: noAddresses }, async (t) => {
  const skip = noNATS()
  if (skip) return t.skip(skip)
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-compose-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const address = `127.${1 + (process.pid % 250)}.${1 + Math.trunc(Math.random() * 250)}.9`
  const moved = (text) => text.replaceAll('127.0.0.1', address)

  const config = join(dir, 'nats.conf')
  await writeFile(config, moved(await read('nats.conf')).replace('/data', join(dir, 'data')))
  const [mount] = several.services.nats.volumes
  const args = several.services.nats.command.map((a) => a.replace(mount.split(':')[1], config))
  startNATS(t, args)

  const command = commandBinary()
  const running = []
  for (const [name, { environment }] of nodes) {
    const env = Object.fromEntries(Object.entries(environment).map(([k, v]) => [k, moved(v)]))
    const child = spawn(command, ['gateway'], {
      env,
      cwd: dir,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let log = ''
    child.stderr.on('data', (chunk) => (log += chunk))
    t.after(() => child.kill('SIGKILL'))
    running.push({ name, child, env, ended: once(child, 'close'), log: () => log })
  }
  for (const { name, child, env, log } of running) {
    const healthy = () => promisify(execFile)(command, ['admin', 'ready'], { env })
    await until(async () => {
      assert.equal(child.exitCode, null, log())
      const yes = await healthy().catch(() => false)
      return yes && (await fetch(`http://${env.REVERSEHTTP_LISTEN}/readyz`)).status === 204
    }, `${name} is healthy`)
    const metrics = await (await fetch(`${env.REVERSEHTTP_ADMIN}/metrics`)).text()
    assert.match(metrics, /^reversehttp_engine_up 1$/m)
  }
})
