// A gateway that cannot start says why and what to do, and exits.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Gateway, startError } from './gateway.js'

const free = ['--listen', '127.0.0.1:0']

test('a port that is taken', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { code, stderr } = await startError('--listen', `127.0.0.1:${other.address().port}`)
  assert.equal(code, 1)
  assert.match(stderr, /the port is in use/)
  assert.match(stderr, /--listen/, 'it says what to do')
})

test('a template without {label}', async () => {
  const { code, stderr } = await startError(...free, '--public-url', 'http://localhost:8080/')
  assert.equal(code, 2)
  assert.match(stderr, /must hold \{label\} once/)
  assert.match(stderr, /http:\/\/\{label\}\.localhost:8080\//, 'it shows one that is right')
})

test('a data directory that cannot be written', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-start-'))
  t.after(() => rm(dir, { recursive: true }))
  // Nobody, root included, can make a directory below a file.
  const file = join(dir, 'file')
  await writeFile(file, '')
  const { code, stderr } = await startError(...free, '--data', join(file, 'data'))
  assert.equal(code, 1)
  assert.ok(stderr.includes(join(file, 'data')), `it names the directory: ${stderr}`)
})

test('a data directory that another gateway uses', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-start-'))
  const gateway = await Gateway.start('--data', dir)
  t.after(async () => {
    await gateway.stop()
    await rm(dir, { recursive: true })
  })
  const { code, stderr } = await startError(...free, '--data', dir)
  assert.equal(code, 1)
  assert.ok(stderr.includes(dir), `it names the directory: ${stderr}`)
})

test('an unknown flag, and an invalid time', async () => {
  const unknown = await startError('--no-such-flag')
  assert.equal(unknown.code, 2)
  assert.match(unknown.stderr, /--no-such-flag/)
  const negative = await startError(...free, '--wait=-1s')
  assert.equal(negative.code, 2)
  assert.match(negative.stderr, /--wait/)
})

test('SIGTERM ends an unused gateway at once', async () => {
  const gateway = await Gateway.start('--drain', '1h')
  assert.equal(await gateway.stop('SIGTERM'), 0)
})
