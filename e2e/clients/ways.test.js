// The small clients reach a gateway through proxies, and one that starts later.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Gateway } from '../gateway.js'
import { client, compile, javaFlags, program } from '../runtimes/runtime.js'
import { visit } from '../visitor.js'
import { forwarding, limiting } from './ways.js'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))

let classes

const clients = {
  py: (...args) => ['python3', ['-B', here('served.py'), client(''), ...args]],
  java: (...args) => {
    classes ??= compile(client('ReverseHttp.java'), here('Served.java'))
    return ['java', [...javaFlags, '-cp', classes, 'Served', ...args]]
  },
}

for (const [label, command] of Object.entries(clients)) {
  describe(`the client of ${label}`, () => {
    test('cuts its answers to what a proxy lets through', async (t) => {
      const proxy = await limiting(100_000)
      t.after(proxy.close)
      proxy.to = await freePort()
      const publicURL = `http://{label}.localhost:${proxy.port}/`
      const gateway = await Gateway.start(
        ...['--listen', `127.0.0.1:${proxy.to}`, '--public-url', publicURL],
      )
      t.after(() => gateway.stop())
      const served = await program(...command(`http://localhost:${proxy.port}`, label))
      t.after(() => served.stop())
      const base = `http://${label}.localhost:${proxy.port}/`
      for (let i = 0; i < 2; i++) {
        const { status, content } = await visit(`${base}large`)
        assert.equal(status, 200)
        assert.ok(content.equals(Buffer.alloc(13_000_000, 'é')), `${content.length} bytes came`)
      }
      assert.ok(proxy.refused > 0 && proxy.refused < 10, `${proxy.refused} refusals`)
    })

    test('goes through the proxy that the environment names', async (t) => {
      const proxy = await forwarding()
      t.after(proxy.close)
      const gateway = await Gateway.start()
      t.after(() => gateway.stop())
      proxy.to = gateway.port
      const origin = `http://localhost:${gateway.port}`
      const env = { http_proxy: `http://me:p%40ss@127.0.0.1:${proxy.port}`, HTTP_PROXY: '' }
      const content = Buffer.alloc(100_000, 'x') // long enough to be fetched
      for (const no_proxy of ['', `localhost:${gateway.port}`]) {
        proxy.urls.length = 0
        const name = label + (no_proxy ? '-direct' : '')
        const served = await program(...command(origin, name), { ...env, no_proxy, NO_PROXY: '' })
        const echo = await visit(`http://${name}.localhost:${gateway.port}/echo`, {
          ...{ method: 'POST', content },
        })
        assert.ok(
          echo.content.equals(content),
          `${name}: ${echo.status} ${echo.content.length} ${echo.content.subarray(0, 200)}`,
        )
        await served.stop()
        if (no_proxy) {
          assert.deepEqual(proxy.urls, [])
          continue
        }
        const secret = `Basic ${Buffer.from('me:p@ss').toString('base64')}`
        for (const url of proxy.urls) assert.ok(url.startsWith(`${secret} ${origin}/`), url)
        for (const path of ['/.well-known/reversehttp', '/claims', '/requests', '/responses']) {
          assert.ok(
            proxy.urls.some((url) => url.includes(path)),
            `${path} is not among\n${proxy.urls.join('\n')}`,
          )
        }
      }
    })

    test('waits for a gateway, and says so once', async (t) => {
      const port = await freePort()
      const [name, args] = command(`http://127.0.0.1:${port}`, label)
      const child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'] })
      t.after(() => child.kill('SIGKILL'))
      const said = []
      const errors = createInterface(child.stderr).on('line', (line) => said.push(line))
      await once(errors, 'line')
      const ready = Promise.race([
        once(createInterface(child.stdout), 'line'),
        once(child, 'exit').then(() => assert.fail(`it ended: ${said.join('\n')}`)),
      ])
      ready.catch(() => {}) // until it is awaited
      const gateway = await Gateway.start('--listen', `127.0.0.1:${port}`)
      t.after(() => gateway.stop())
      assert.match((await ready)[0], new RegExp(`^http://${label}\\.localhost:${port}/$`))
      assert.equal(said.filter((line) => /waiting for it/.test(line)).length, 1, said.join('\n'))
      assert.match(said.join('\n'), new RegExp(`127.0.0.1:${port}: no gateway answers`))
    })
  })
}

/** A port of loopback where nobody listens. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
