// NATS servers from the module in e2e/cluster/nats, built by go build.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inCI } from './steps/ci.js'
import { root } from './steps/run.js'

let built

/** The path of the server. Throws if it cannot be built. */
function binary() {
  if (built) return built
  const dir = mkdtempSync(join(tmpdir(), 'reversehttp-nats-'))
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'nats-server')
  const flags = ['-trimpath', '-ldflags=-s -w', '-o', path, 'github.com/nats-io/nats-server/v2']
  execFileSync('go', ['build', ...flags], {
    cwd: join(root, 'e2e/cluster/nats'),
    env: { ...process.env, GOFLAGS: '', GOWORK: 'off', CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  return (built = path)
}

/** Why tests that need a server are skipped; false if there is a server, or with CI set. */
export function noNATS() {
  try {
    return !binary()
  } catch (e) {
    if (inCI) throw e
    return `nats-server cannot be built: ${e.message}`
  }
}

/** Starts a server that is killed at the end of a test. */
export function startNATS(t, args, env = {}) {
  const child = spawn(binary(), args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', (chunk) => (log += chunk))
  const ended = once(child, 'close')
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, log: () => log }
}
