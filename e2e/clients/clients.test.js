// The small clients of schema: what they promise in addition to the vectors.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Gateway } from '../gateway.js'
import { forgetful } from './forgetful.js'
import { client, compile, javaFlags, program } from '../runtimes/runtime.js'
import { until } from '../until.js'
import { visit } from '../visitor.js'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))

let classes

const clients = {
  'reversehttp.py': (...args) => ['python3', ['-B', here('served.py'), client(''), ...args]],
  'ReverseHttp.java': (...args) => {
    classes ??= compile(client('ReverseHttp.java'), here('Served.java'))
    return ['java', [...javaFlags, '-cp', classes, 'Served', ...args]]
  },
}

for (const [name, command] of Object.entries(clients)) {
  describe(name, () => {
    const start = (...args) => program(...command(...args))
    const label = name.split('.')[1]
    let gateway, served, base

    before(async () => {
      gateway = await Gateway.start()
      served = await start(gateway.url.slice(0, -1), label)
      base = `http://${label}.localhost:${gateway.port}/`
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

    test('answers', () => says('', 'hello'))

    test('content of some MiB is exact, both ways', async () => {
      const content = randomBytes(5 << 20)
      const digest = createHash('sha256').update(content).digest('hex')
      await says('digest', digest, { method: 'POST', content })
      const { content: back } = await get('echo', { method: 'POST', content })
      assert.ok(back.equals(content), `${back.length} bytes came back`)
    })

    test('an answer is seen as it is written', async () => {
      const answer = await open('stream')
      assert.equal(await answer.next(), 'first')
      await says('go', 'gone')
      assert.equal(await answer.next(), 'second')
      await says('go', 'gone')
      assert.equal(await answer.next(), 'last')
      assert.equal(await answer.next(), undefined)
    })

    test('content is read while it is sent', async () => {
      const answer = await open('live', 'one\n')
      assert.equal(await answer.next(), 'got one\n')
      answer.send('two\n')
      assert.equal(await answer.next(), 'got two\n')
    })

    if (label === 'py') {
      test('a handler may write chunks of its own', () => says('chunks', 'hello world'))
    } else {
      test('a filter runs before the handler', async () => {
        await says('filtered', 'filtered')
        await happens('filter')
      })
    }

    test('a hint comes before the answer', async () => {
      const { interim, content } = await get('hint')
      assert.deepEqual([interim, content.toString()], [[103], 'hinted'])
    })

    test('300 handlers run side by side', async () => {
      await Promise.all(Array.from({ length: 300 }, () => says('together', 'together')))
    })

    test('a handler that throws is a 500', async () => {
      assert.equal((await get('throws')).status, 500)
      await says('', 'hello')
    })

    test('an answer that is not valid is a 500', async () => {
      assert.equal((await get('invalid')).status, 500)
    })

    test('a handler that throws in the middle cuts its answer short', async () => {
      await assert.rejects(get('breaks'), /cut short/)
    })

    test('a visitor who leaves makes writing fail', async () => {
      const answer = await open('endless')
      await answer.next()
      answer.leave()
      await happens('write failed')
    })

    test('a visitor who leaves makes reading fail', async () => {
      const answer = await open('upload', 'one\n')
      assert.equal(await answer.next(), 'one\n')
      await happens('about to read')
      answer.leave()
      await happens('read failed')
    })

    test('is back when its session was given up', async (t) => {
      // The gateway here gives sessions up soon, even those of programs that a busy machine delays.
      const strict = await Gateway.start('--acknowledge', '2s')
      t.after(() => strict.stop())
      const sleeper = await start(strict.url.slice(0, -1), label)
      t.after(() => sleeper.stop())
      const status = async () => (await visit(`http://${label}.localhost:${strict.port}/`)).status
      process.kill(-sleeper.pid, 'SIGSTOP')
      // The request is in the socket of a program that sleeps, and there is no other program.
      assert.equal(await status(), 503)
      process.kill(-sleeper.pid, 'SIGCONT')
      await until(async () => (await status()) === 200, 'it is back')
    })

    test('begins an id once, and posts its answer again to a session that knows it', async (t) => {
      const fake = await forgetful()
      t.after(() => fake.close())
      const other = await start(fake.origin, label)
      t.after(() => other.stop())
      await until(() => fake.cursors.length === 6, 'all polls')
      await other.stop()
      assert.deepEqual(fake.answers, ['1: 1', '2: 1'], 'session: how often the handler ran')
      const cursors = ['1: start', '1: first', '2: start', '2: first', '2: after 2', '2: after 3']
      assert.deepEqual(fake.cursors, cursors)
      assert.deepEqual(fake.tokens, [undefined, 'secret'])
    })

    test('says what is no URL of a gateway, and which gateway is away', async () => {
      const said = async (other) => {
        const child = spawn(...command(other, label, 'fail'), {
          stdio: ['ignore', 'ignore', 'pipe'],
        })
        return Buffer.concat(await child.stderr.toArray()).toString()
      }
      const plain = `localhost:${gateway.port}`
      // Nothing listens on port 1.
      const away = 'http://127.0.0.1:1'
      const [ofPlain, ofAway] = await Promise.all([said(plain), said(away)])
      assert.match(ofPlain, new RegExp(`${plain}: give the gateway as http://`))
      assert.match(ofAway, new RegExp(`${away}: no gateway answers.*start it, or name another`))
    })

    test('leaves nothing behind when it ends', async () => {
      await served.stop()
      await until(async () => (await get('')).status === 503, 'the session is over')
    })

    const happens = (event) =>
      until(async () => (await get('events')).content.includes(event), event)

    /** Begins a request; next gives the content of the answer piece by piece, undefined at its end. */
    function open(path, sent) {
      return new Promise((resolve, reject) => {
        const { port, host } = new URL(base)
        const options = { port, host: '127.0.0.1', path: `/${path}`, headers: { Host: host } }
        const outgoing = request({ ...options, method: sent ? 'POST' : 'GET' })
        outgoing.on('error', reject)
        outgoing.on('response', (incoming) => {
          const pieces = incoming[Symbol.asyncIterator]()
          resolve({
            next: async () => (await pieces.next()).value?.toString(),
            send: (text) => outgoing.write(text),
            leave: () => outgoing.destroy(),
          })
        })
        if (sent) outgoing.write(sent)
        else outgoing.end()
      })
    }
  })
}
