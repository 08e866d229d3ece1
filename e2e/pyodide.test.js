// The example of sdk-js that runs Python in a page of its own: an ASGI application answers, and streams.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { field, visit } from './visitor.js'

const mostLines = 60
const folder = fileURLToPath(new URL('../sdk-js/examples/pyodide/', import.meta.url))
const pyodide = dirname(createRequire(import.meta.url).resolve('pyodide/package.json'))
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
}

/** A foreign web site with the example, and Pyodide from npm beside it. */
async function startSite() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site')
    const [, first, name = ''] = pathname.split('/')
    const file = first === 'pyodide' ? join(pyodide, name) : join(folder, first || 'index.html')
    if (!existsSync(file)) return response.writeHead(404).end()
    response.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'text/plain' })
    createReadStream(file).pipe(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

test(`the adapter has at most ${mostLines} lines`, () => {
  const lines = readFileSync(join(folder, 'asgi.js'), 'utf8').trimEnd().split('\n')
  assert.ok(lines.length <= mostLines, `${lines.length}`)
})

describe('a Python web application in a tab', { skip: noBrowser }, () => {
  let gateway, browser, site, page, url
  const faults = []

  before(async () => {
    ;[gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
    page = await (await browser.newContext()).newPage()
    page.on('pageerror', (e) => faults.push(e.message))
    page.on('console', (m) => faults.push(m.text()))
    const beganMs = performance.now()
    await page.goto(`${site.url}?gateway=${gateway.url.slice(0, -1)}`)
    url = await page.getAttribute('a#link[href]', 'href')
    assert.equal((await visit(url)).status, 200)
    console.log(`from nothing to the first answer: ${Math.round(performance.now() - beganMs)} ms`)
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  test('it answers, with the fields of the application', async () => {
    const { status, fields, content } = await visit(`${url}?name=Ann%20%26%20Bo`)
    assert.equal(status, 200)
    assert.match(content.toString(), /^Hello, Ann & Bo, from Python 3\.\d+\.\d+ in a tab\n$/)
    assert.equal(field(fields, 'Content-Type'), 'text/plain; charset=utf-8')
    assert.equal(field(fields, 'Set-Cookie'), 'seen=1')
    const head = await visit(url, { method: 'HEAD' })
    assert.equal(head.status, 200)
    assert.equal(head.content.length, 0)
    assert.equal((await visit(`${url}other`)).status, 404)
  })

  test('content streams both ways', async () => {
    assert.equal((await visit(`${url}count`)).content.toString(), '1\n2\n3\n')
    const long = 'a line\n'.repeat(40_000)
    const { status, content } = await visit(`${url}upper`, { method: 'POST', content: long })
    assert.equal(status, 200)
    assert.ok(content.equals(Buffer.from(long.toUpperCase())))
    const none = await visit(`${url}upper`, { method: 'POST' })
    assert.equal(none.content.length, 0)
  })

  test('an application that fails answers 500, shows the reason in the console, and continues', async () => {
    assert.deepEqual(faults, [])
    assert.equal((await visit(`${url}fails`)).status, 500)
    const said = () => faults.some((f) => f.includes('RuntimeError: this is not handled'))
    await until(said, 'the console says why')
    assert.equal((await visit(url)).status, 200)
  })
})
