// WSGI and ASGI applications on the small client in Python.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Gateway } from '../gateway.js'
import { client, program } from '../runtimes/runtime.js'
import { until } from '../until.js'
import { visit } from '../visitor.js'

const script = fileURLToPath(new URL('applications.py', import.meta.url))
const start = (gateway, label, kind, report) =>
  program('python3', ['-B', script, client(''), gateway.url, label, kind], {}, report)

for (const kind of ['wsgi', 'asgi']) {
  describe(`an application of ${kind}`, () => {
    let gateway, served, base

    before(async () => {
      gateway = await Gateway.start()
      served = await start(gateway, kind, kind)
      base = `http://${kind}.localhost:${gateway.port}/`
    })
    after(async () => {
      await served?.stop()
      await gateway?.stop()
    })

    const get = (path, options) => visit(base + path, options)
    async function says(path, text, options) {
      const { status, content } = await get(path, options)
      assert.equal(`${status} ${content}`, `200 ${text}`)
    }

    test('has the request', async () => {
      const cookies = [
        ['Cookie', 'a=1'],
        ['Cookie', 'b=2'],
      ]
      const wanted = {
        wsgi: 'PUT  /a b/c x=%20&y a=1; b=2 text/x',
        asgi: 'PUT  /a b/c x=%20&y started',
      }
      const fields = [...cookies, ['Content-Type', 'text/x']]
      await says('a%20b/c?x=%20&y', wanted[kind], { method: 'PUT', fields, content: 'x' })
    })

    test('answers with its status and fields, and content in pieces', async () => {
      const { status, fields, content } = await get('teapot')
      assert.equal(`${status} ${content}`, '418 short and stout')
      assert.deepEqual(
        fields.filter(([name]) => name.toLowerCase() === 'x-a').map(([, value]) => value),
        ['1', '2'],
      )
    })

    test('reads content of some MiB', async () => {
      const content = randomBytes(3 << 20)
      const digest = createHash('sha256').update(content).digest('hex')
      await says('digest', digest, { method: 'POST', content })
      await says('digest', createHash('sha256').digest('hex'), { method: 'POST' })
    })

    test('answers with 13 MB at once', async () => {
      const { content } = await get('big')
      assert.equal(content.length, 13_000_000)
      assert.ok(content.equals(Buffer.alloc(13_000_000, 'x')))
    })

    test('an answer to HEAD has no content', async () => {
      const { status, content } = await get('', { method: 'HEAD' })
      assert.deepEqual([status, content.length], [200, 0])
    })

    test('one that fails is a 500, or cut short where it has begun', async () => {
      assert.equal((await get('throws')).status, 500)
      await assert.rejects(get('breaks'), /cut short/)
      if (kind === 'asgi') assert.equal((await get('nothing')).status, 500)
    })

    if (kind === 'wsgi') {
      test('lines, exc_info and close', async () => {
        await says('lines', "['a\\n', 'b']", { method: 'POST', content: 'a\nb' })
        assert.equal((await get('again')).status, 503)
        const { content } = await get('events')
        assert.match(content.toString(), /^closed( closed)+$/)
      })
    } else {
      test('fifty requests run side by side', () =>
        Promise.all(Array.from({ length: 50 }, () => says('together', 'together'))))

      test('reads and writes at once', async () => {
        const { port, host } = new URL(base)
        const outgoing = request({
          ...{ port, host: '127.0.0.1', path: '/live', method: 'POST', headers: { Host: host } },
        })
        outgoing.write('one')
        const [incoming] = await new Promise((resolve, reject) => {
          outgoing.on('response', (response) => resolve([response]))
          outgoing.on('error', reject)
        })
        const pieces = incoming[Symbol.asyncIterator]()
        assert.equal((await pieces.next()).value.toString(), 'got one')
        outgoing.end('two')
        assert.equal((await pieces.next()).value.toString(), 'got two')
        assert.equal((await pieces.next()).done, true)
      })

      test('learns that the visitor left', async () => {
        const { port, host } = new URL(base)
        const outgoing = request({
          ...{ port, host: '127.0.0.1', path: '/endless', headers: { Host: host } },
        })
        outgoing.on('response', () => outgoing.destroy())
        outgoing.on('error', () => {})
        outgoing.end()
        const events = async () => (await get('events')).content.toString()
        await until(async () => /http.disconnect/.test(await events()), 'http.disconnect')
        await until(async () => /write failed/.test(await events()), 'a write that fails')
      })
    }
  })
}

test('an application of ASGI starts, stops, and need not have a lifespan', async (t) => {
  const gateway = await Gateway.start()
  t.after(() => gateway.stop())
  const bare = await start(gateway, 'bare', 'bare')
  assert.equal((await visit(`http://bare.localhost:${gateway.port}/`)).content.toString(), 'bare')
  await bare.stop()

  const failing = spawnSync('python3', [
    '-B',
    script,
    client(''),
    gateway.url,
    'failing',
    'failing',
  ])
  assert.equal(failing.status, 1)
  assert.match(failing.stderr.toString(), /RuntimeError: no database\s*$/)
  const { status } = await visit(`http://failing.localhost:${gateway.port}/`)
  assert.equal(status, 404, 'no label is claimed before the application has started')

  const child = spawn('python3', ['-B', script, client(''), gateway.url, 'ends', 'asgi'])
  t.after(() => child.kill('SIGKILL'))
  const lines = []
  createInterface(child.stdout).on('line', (line) => {
    if (lines.push(line) === 1) child.kill('SIGTERM')
  })
  await once(child, 'close')
  assert.deepEqual(lines.slice(1), ['shut down'])
})
