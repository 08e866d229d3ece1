// The packages as users install them from npm, on a machine with Node and without Go.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { noBrowser, startBrowser } from './browser.js'
import { findProgram } from './program.js'
import { root, run as step } from './steps/run.js'
import { visit } from './visitor.js'

const run = promisify(execFile)

let dir, env, tarballs
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'reversehttp-install-'))
  await step('npm', 'run', '--silent', 'build', '--workspace', 'reversehttp')
  const { stdout } = await run('go', ['env', 'GOHOSTOS', 'GOHOSTARCH'], { cwd: root })
  const [os, arch] = stdout.trim().split('\n')
  const packs = join(dir, 'packs')
  await step('go', 'run', './sdk-go/release', '--out', packs, '--platforms', `${os}/${arch}`)
  tarballs = (await readdir(packs)).filter((name) => name.endsWith('.tgz')).sort()
  assert.equal(tarballs.length, 3, `${tarballs}`)
  tarballs = tarballs.map((name) => join(packs, name))
  // A PATH with only the programs that the packages need.
  const path = join(dir, 'path')
  await mkdir(path)
  for (const name of ['node', 'npm', 'npx', 'sh']) {
    await symlink(await realpath(await findProgram(name)), join(path, name))
  }
  env = {
    PATH: path,
    HOME: join(dir, 'home'),
    npm_config_cache: join(dir, 'cache'),
    npm_config_offline: 'true',
    npm_config_audit: 'false',
    npm_config_update_notifier: 'false',
  }
})
after(() => rm(dir, { recursive: true, force: true }))

/** Installs packages into an empty folder, and returns the folder. */
async function install(name, packages) {
  const cwd = join(dir, name)
  await mkdir(cwd)
  await run('npm', ['install', '--offline', ...packages], { cwd, env })
  return cwd
}

/** Starts a command in a folder; its lines come one by one. */
function launch(cwd, command, ...args) {
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const ended = once(child, 'exit')
  return {
    async next(so) {
      for (;;) {
        const { value, done } = await lines.next()
        assert.ok(!done, 'it ended')
        const found = so(value)
        if (found) return found
      }
    },
    /** Sends a signal to the command and its children, as a shell does. */
    stop: () => process.kill(-child.pid, 'SIGTERM'),
    ended,
  }
}

const event = (name) => (line) => {
  const e = JSON.parse(line)
  return e.event === name && e
}

test('npx reversehttp runs a gateway, and forwards to a local server', async (t) => {
  const cwd = await install('all', tarballs)
  const { version } = JSON.parse(await readFile(join(root, 'sdk-js/package.json'), 'utf8'))
  const { stdout } = await run('npx', ['reversehttp', '--version'], { cwd, env })
  assert.ok(stdout.startsWith(`reversehttp ${version} go`), stdout)

  const local = createServer((req, res) => {
    const answer = () => res.end(`local ${req.url}`)
    if (req.url !== '/slow') return answer()
    local.once('answer', answer)
    local.emit('slow')
  }).listen(0, '127.0.0.1')
  await once(local, 'listening')
  t.after(() => local.close())
  const gateway = launch(
    cwd,
    join(cwd, 'node_modules/.bin/reversehttp'),
    'gateway',
    '--listen',
    '127.0.0.1:0',
  )
  const origin = await gateway.next((line) => line.match(/console: (\S+)/)?.[1])
  const args = ['forward', `${local.address().port}`, '--gateway', origin, '--label=demo']
  const forward = launch(cwd, 'npx', 'reversehttp', ...args)
  const { url } = await forward.next(event('claimed'))
  const answer = await visit(`${url}hi?x=1`)
  assert.equal(answer.status, 200)
  assert.equal(answer.content.toString(), 'local /hi?x=1')
  const slow = visit(`${url}slow`)
  await once(local, 'slow')
  // The signal ends npx itself.
  forward.stop()
  await forward.next((line) => event('state')(line)?.state === 'draining')
  local.emit('answer')
  assert.equal((await slow).content.toString(), 'local /slow')
  assert.equal((await forward.next(event('ended'))).exitCode, 0)
  await forward.ended
  await page(t, cwd, origin)
  await conformance(cwd, origin)
  gateway.stop()
  assert.deepEqual(await gateway.ended, [0, null])
})

/** Runs the conformance kit against the gateway, a client, and a server that is not a gateway. */
async function conformance(cwd, gateway) {
  const kit = (...args) => run('npx', ['reversehttp-conformance', ...args], { cwd, env })
  const only = ['--only', '^request/(get|content-utf8)$|^conversation/no-claim$|^end']
  const { stdout } = await kit('--json', ...only, gateway)
  const report = JSON.parse(stdout)
  assert.deepEqual([report.failed, report.passed > 10], [0, true], stdout)
  const client = `
import { createInterface } from 'node:readline'
import { serve } from 'reversehttp'
const lines = createInterface(process.stdin)
const waiting = []
let claim
lines.on('line', async (text) => {
  const line = JSON.parse(text)
  if (claim) return waiting[line.n](line)
  claim = await serve(async (request, info) => {
    const { method, headers, target } = info
    const bodyBase64 = Buffer.from(await request.arrayBuffer()).toString('base64')
    const n = waiting.length
    console.log(JSON.stringify({ n, method, target, headers, bodyBase64 }))
    const answer = await new Promise((resolve) => waiting.push(resolve))
    const body = answer.bodyBase64 ? Buffer.from(answer.bodyBase64, 'base64') : answer.body
    return new Response(body, { status: answer.status, headers: answer.headers })
  }, line)
  console.log(JSON.stringify({ url: claim.url }))
})
lines.on('close', () => claim.close())`
  await writeFile(join(cwd, 'client.mjs'), client)
  const judged = await kit(...only, gateway, 'node', 'client.mjs')
  assert.match(judged.stdout, /^all +3 +0 /m)
  const { code, stderr } = await kit('gateway').catch((e) => e)
  assert.deepEqual([code, stderr.includes('is not the URL of a gateway')], [2, true], stderr)
}

/** Opens a page that imports the package from node_modules, and serves. */
async function page(t, cwd, gateway) {
  if (noBrowser) return t.diagnostic(`no page imported the package: ${noBrowser}`)
  const site = createServer(async (req, res) => {
    if (req.url === '/') {
      res.setHeader('Content-Type', 'text/html')
      return res.end(`<!doctype html><link rel="icon" href="data:,"><script type="importmap">{"imports":{"reversehttp":"/node_modules/reversehttp/dist/index.js"}}</script>
<script type="module">
import { serve } from 'reversehttp'
globalThis.claim = await serve(() => new Response('a package in a page'), { gateway: '${gateway}' })
</script>`)
    }
    res.setHeader('Content-Type', 'text/javascript')
    res.end(await readFile(join(cwd, new URL(req.url, 'http://site').pathname)).catch(() => ''))
  }).listen(0, '127.0.0.1')
  await once(site, 'listening')
  const browser = await startBrowser()
  t.after(async () => {
    await browser.close()
    site.close()
  })
  const tab = await browser.newPage()
  await tab.goto(`http://127.0.0.1:${site.address().port}/`)
  await tab.waitForFunction(() => globalThis.claim)
  const answer = await visit(await tab.evaluate(() => globalThis.claim.url))
  assert.equal(answer.content.toString(), 'a package in a page')
  await tab.evaluate(() => globalThis.claim.close())
}

test('without the package of the platform, the command says what is missing', async () => {
  const cwd = await install(
    'sdk',
    tarballs.filter((name) => /\/reversehttp-\d/.test(name)),
  )
  const missing = `@reversehttp/${process.platform}-${process.arch}`
  const { code, stderr } = await run('npx', ['reversehttp', '--version'], { cwd, env }).catch(
    (e) => e,
  )
  assert.equal(code, 1)
  assert.ok(stderr.includes(missing), stderr)
  // The SDK works without it.
  await writeFile(
    join(cwd, 'a.mjs'),
    "import { serve } from 'reversehttp'\nconsole.log(typeof serve)",
  )
  assert.equal((await run('node', ['a.mjs'], { cwd, env })).stdout, 'function\n')
})
