// The conformance kit of schema, with good and bad gateways and clients.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { build, Gateway } from './gateway.js'
import { root } from './steps/run.js'

describe('the conformance kit', { concurrency: true }, () => {
  let gateway, kit, dir

  before(async () => {
    kit = build('./schema/conformance', 'conformance')
    dir = await mkdtemp(join(tmpdir(), 'reversehttp-conformance-'))
    gateway = await Gateway.start()
  })
  after(async () => {
    await gateway?.stop()
    await rm(dir, { recursive: true, force: true })
  })

  /** Runs the kit. Resolves with its exit code and its output. */
  function judge(...args) {
    return new Promise((resolve) => {
      execFile(kit, args, { cwd: root, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
        resolve({ code: error ? error.code : 0, stdout, stderr }),
      )
    })
  }

  /** Judges a client in Node that handles each request in a given way. */
  async function judgeClient(name, text) {
    const path = join(dir, `${name}.mjs`)
    const sdk = JSON.stringify(join(root, 'schema/examples/server.mjs'))
    await writeFile(
      path,
      `import { createInterface } from 'node:readline'
import { serve } from ${sdk}
const say = (line) => process.stdout.write((typeof line === 'string' ? line : JSON.stringify(line)) + '\\n')
console.log = (url) => say({ url }) // The example prints it when it serves.
const lines = createInterface(process.stdin)
const waiting = new Map()
let n = 0
let begun = false
lines.on('line', (text) => {
  const line = JSON.parse(text)
  if (begun) return waiting.get(line.n)(line)
  begun = true
  void serve(handler, line.gateway, line.label)
})
function answerOf(request, content) {
  const mine = n++
  say({ n: mine, ...request, bodyBase64: content.toString('base64') })
  return new Promise((resolve) => waiting.set(mine, resolve))
}
${text}`,
    )
    return judge('--only', '^request/(get|content-utf8)$|^end', gateway.url, process.execPath, path)
  }

  /** Judges a gateway that passes, and returns the report. */
  async function judgeGood(gateway) {
    const { code, stdout, stderr } = await judge('--json', '--longest', '2s', gateway.url)
    const report = JSON.parse(stdout)
    const failed = report.groups.flatMap((g) => g.cases.filter((c) => c.failure))
    assert.deepEqual([code, failed], [0, []], stderr)
    assert.ok(report.passed > 1000, `${report.passed} passed`)
    return report
  }

  test('our gateway passes', async () => {
    const report = await judgeGood(gateway)
    const forms = ['json', 'ndjson', 'sse', 'framed', 'json by link', 'framed by link']
    for (const form of forms) {
      const group = report.groups.find((g) => g.name === `exchanges, ${form}`)
      assert.ok(group.cases.length > 80, form)
    }
  })

  test('three of our gateways pass as one', async () => {
    const cluster = await Gateway.startCluster('connections')
    try {
      await judgeGood(cluster)
    } finally {
      await cluster.stop()
    }
  })

  test('the client of the kit passes', async () => {
    const client = ['python3', '-B', 'schema/conformance/client.py']
    const { code, stdout } = await judge(gateway.url, ...client)
    assert.equal(code, 0, stdout)
    assert.match(stdout, /^exchanges +8\d +0 /m)
  })

  const ends = `lines.on('close', () => process.exit())\n`
  test('a client that changes nothing passes', async () => {
    const { code, stdout } = await judgeClient('good', `const handler = answerOf\n${ends}`)
    assert.equal(code, 0, stdout)
  })

  for (const [what, text, says] of [
    [
      'shows another target',
      `const handler = (r, c) => answerOf({ ...r, target: '/' }, c)\n${ends}`,
      /request: target = /,
    ],
    [
      'answers something else',
      `const handler = async (r, c) => ({ ...(await answerOf(r, c)), status: 500 })\n${ends}`,
      /received: status = 500/,
    ],
    [
      'is called in vain',
      `const handler = () => ({ status: 200 })\n${ends}`,
      /the handler was not called/,
    ],
    ['ends early', `const handler = () => process.exit(3)\n${ends}`, /its output has ended/],
    [
      'writes a broken line',
      `const handler = () => say('{hello')\n${ends}`,
      /a line is not an object of JSON: "\{hello"/,
    ],
    [
      'does not exit',
      `const handler = answerOf\nsetInterval(() => {}, 1e6)`,
      /did not exit within 10s/,
    ],
    [
      'exits with an error',
      `const handler = answerOf\nlines.on('close', () => process.exit(4))`,
      /exit status 4/,
    ],
  ]) {
    test(`a client that ${what} fails`, async () => {
      const { code, stdout, stderr } = await judgeClient(what.replaceAll(' ', '-'), text)
      assert.equal(code, 1, `${stdout}\n${stderr}`)
      assert.match(stdout, says)
    })
  }

  test('something that cannot be judged is reported in one line', async () => {
    const page = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1')
    await new Promise((resolve) => page.once('listening', resolve))
    try {
      for (const [args, says] of [
        [['gateway'], /"gateway" is not the URL of a gateway, such as http:\/\/localhost:8080/],
        [
          [`http://127.0.0.1:${page.address().port}`],
          /is not a gateway: it answers discovery with 200/,
        ],
        [[gateway.url, 'no-such-client'], /no-such-client/],
        [['--only', '(', gateway.url], /--only: error parsing regexp/],
        [['--beside', '0', gateway.url], /--beside: at least one/],
      ]) {
        const { code, stdout, stderr } = await judge(...args)
        assert.deepEqual([code, stdout], [2, ''], args.join(' '))
        assert.match(stderr, says)
      }
    } finally {
      page.close()
    }
  })
})
