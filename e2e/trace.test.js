// One trace goes from a visitor through a tab and a Go program to a local server, and is in the logs between.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { commandBinary, Gateway } from './gateway.js'
import { openServer, startSite } from './site.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { visit } from './visitor.js'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const sent = `00-${traceId}-b7ad6b7169203331-01`
const form = /^00-([0-9a-f]{32})-[0-9a-f]{16}-03$/

describe('a trace', { skip: noBrowser }, () => {
  let gateway, browser, site, origin, forward, page, tab, program
  /** What the local server got, and the events that the command printed. */
  const got = []
  const events = []

  before(async () => {
    ;[gateway, browser, site, origin] = await startAll(
      Gateway.start('--log-level', 'debug'),
      startBrowser(),
      startSite(),
      startOrigin(),
    )
    const command = commandBinary()
    const { port } = origin.address()
    const at = ['--gateway', gateway.url, '--json', '--no-inspect']
    forward = spawn(command, ['forward', `127.0.0.1:${port}`, ...at], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    createInterface(forward.stdout).on('line', (line) => events.push(JSON.parse(line)))
    program = await until(() => events.find((e) => e.event === 'claimed')?.url, 'it forwards')
    page = await (await browser.newContext()).newPage()
    tab = await openServer(page, site.url, gateway)
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    if (forward && forward.exitCode === null) {
      forward.kill()
      await once(forward, 'exit')
    }
    origin?.closeAllConnections()
    origin?.close()
    await gateway?.stop()
  })

  async function startOrigin() {
    const server = createServer((req, res) => {
      if (req.method === 'GET') got.push(req.headers)
      res.writeHead(200, {
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Allow-Headers': 'traceparent, tracestate',
      })
      res.end('from the local server')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server
  }

  /** Sends a request to the tab, which sends one to the command, and returns what the local server got. */
  async function relayed(fields) {
    const { status, content } = await visit(`${tab}relay?to=${encodeURIComponent(program)}`, {
      fields,
    })
    assert.equal(status, 200, content.toString())
    assert.equal(content.toString(), 'from the local server')
    assert.equal(got.length, 1)
    return got.pop()
  }

  /** Waits until gateway and command have logged the exchanges of a trace. */
  async function logged(id) {
    const lines = () => gateway.log.split('\n').filter((l) => l.includes(`trace_id=${id}`))
    await until(() => lines().length === 2, 'the gateway logs both exchanges')
    for (const line of lines()) assert.match(line, /msg="exchange ended" .*outcome=done/)
    const printed = () => events.some((e) => e.event === 'exchange' && e.traceId === id)
    await until(printed, 'the command prints the exchange')
  }

  test('of a visitor goes through a tab and the command to the local server', async () => {
    const { traceparent, tracestate } = await relayed([
      ['Traceparent', sent],
      ['Tracestate', 'congo=t61rcWkgMzE'],
    ])
    assert.equal(traceparent, sent)
    assert.equal(tracestate, 'congo=t61rcWkgMzE')
    await logged(traceId)
  })

  test('begins at the gateway if the visitor sends none, or an invalid one', async () => {
    const ids = []
    for (const fields of [[], [['Traceparent', `${sent}-`]]]) {
      const { traceparent, tracestate } = await relayed([...fields, ['Tracestate', 'a=1']])
      assert.match(traceparent, form)
      assert.equal(tracestate, undefined)
      ids.push(traceparent.match(form)[1])
      await logged(ids.at(-1))
    }
    assert.notEqual(ids[0], ids[1])
    assert.ok(!ids.includes(traceId))
  })

  test('reaches a local server from a visitor without one', async () => {
    await visit(program, { fields: [['Tracestate', 'a=1']] })
    const { traceparent, tracestate } = got.pop()
    assert.match(traceparent, form)
    assert.equal(tracestate, undefined)
  })
})
