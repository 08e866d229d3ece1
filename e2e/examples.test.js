// The examples in schema, unchanged: this covers what the vectors, which replace their handlers, do not.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { freePort, Gateway } from './gateway.js'
import { example, program } from './runtimes/runtime.js'
import { visit } from './visitor.js'

const most = 40
const readme = await readFile(example('../README.md'), 'utf8')

/**
 * Returns the number of lines of a file that are not blank, which the text of the protocol must state.
 */
async function lines(name) {
  const source = await readFile(example(`../${name}`), 'utf8')
  const { length } = source.split('\n').filter((l) => l.trim())
  const row = readme.split('\n').find((l) => l.startsWith(`| [${name}]`))
  assert.ok(row.includes(` | ${length} | `), `${length} lines, and the text says: ${row}`)
  return length
}

test('the text counts the lines of the small clients', async () => {
  await lines('clients/reversehttp.py')
  await lines('clients/ReverseHttp.java')
})

const examples = {
  'server.sh': (path, gateway, label) => ['bash', path, gateway, JSON.stringify({ label })],
  'server.py': (path, ...args) => ['python3', path, ...args],
  'server.pl': (path, ...args) => ['perl', path, ...args],
  'Server.java': (path, ...args) => ['java', path, ...args],
  'server.mjs': (path, ...args) => [process.execPath, path, ...args],
}

for (const [file, command] of Object.entries(examples)) {
  describe(file, () => {
    const label = file.split('.')[1]
    let gateway, running, url

    before(async () => {
      gateway = await Gateway.start()
      const [name, ...args] = command(example(file), gateway.url, label)
      running = await program(name, args)
      url = `http://${label}.localhost:${gateway.port}/`
    })
    after(async () => {
      await running?.stop()
      await gateway?.stop()
    })

    async function answers(method, target, options) {
      const { status, content } = await visit(url + target, { method, ...options })
      assert.equal(`${status} ${content}`, `200 ${method} /${target}\n`)
    }

    test(`holds at most ${most} lines`, async () => {
      assert.ok((await lines(`examples/${file}`)) <= most)
    })

    test('answers', () => answers('PUT', 'a?b=c'))

    test('prints why the gateway refuses', async () => {
      const [name, ...args] = command(example(file), gateway.url.slice(0, -1), label)
      const child = spawn(name, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
      const ended = once(child, 'close')
      const stop = () =>
        (child.exitCode ?? child.signalCode) === null && process.kill(-child.pid, 'SIGTERM')
      const late = setTimeout(stop, 600_000)
      try {
        let said = ''
        for await (const piece of child.stderr) {
          said += piece
          if (said.includes('The label is taken.')) return
        }
        assert.fail(`it ended, and said ${said}`)
      } finally {
        clearTimeout(late)
        stop()
        await ended
      }
    })

    // curl retries silently for a minute.
    if (file !== 'server.sh') {
      test('prints in one line what it tried if no gateway runs', async () => {
        const tried = `http://127.0.0.1:${await freePort()}`
        const [name, ...args] = command(example(file), tried, label)
        const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'] })
        const ended = once(child, 'close')
        const late = setTimeout(() => child.kill(), 600_000)
        let said = ''
        for await (const piece of child.stderr) {
          said += piece
          // The Java example ends by itself; the others try again.
          if (file !== 'Server.java' && said.includes('\n')) child.kill()
        }
        clearTimeout(late)
        const [code] = await ended
        const [line, ...more] = said.trim().split('\n')
        assert.ok(line.startsWith(tried), `it said ${said}`)
        if (file === 'Server.java') assert.deepEqual({ code, more }, { code: 1, more: [] })
      })
    }

    test('accepts long content', () => answers('POST', '', { content: randomBytes(1 << 20) }))

    test('answers a request for a WebSocket', () =>
      answers('GET', 'socket', {
        fields: [
          ['Connection', 'Upgrade'],
          ['Upgrade', 'websocket'],
          ['Sec-WebSocket-Version', '13'],
          ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
        ],
      }))

    test('continues after content that is cut short', async () => {
      const socket = connect(gateway.port, '127.0.0.1')
      const { host } = new URL(url)
      socket.write(
        `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nno\r\n`,
      )
      // The visitor gets an answer, because they sent an invalid chunk.
      await once(socket, 'data')
      socket.destroy()
      await answers('GET', 'next')
    })
  })
}
