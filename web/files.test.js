// What visitors get of shared files, and what a page knows of its downloads.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeZip, predictLength } from 'client-zip'
import { newPassword, policyOf } from './pages/access.js'
import { filesHandler } from './pages/files-handler.js'
import { mostFiles, SharedFiles } from './pages/shared-files.js'
import { mostAtOnce, Transfers } from './pages/transfers.js'

const base = 'http://ann.localhost:8080/'
const named = (path, content = path, options = {}) => ({
  path,
  file: new File([content], path.split('/').at(-1), { lastModified: 0, ...options }),
})
/** Ranges are the SDK's, and tested there: the whole file will do here. */
const serveFile = (_, file) => new Response(file.stream())

function page(...paths) {
  const files = new SharedFiles(() => {})
  files.add(paths.map((path) => named(path)))
  const transfers = new Transfers(() => {})
  const handler = filesHandler(files, transfers, serveFile, async () => ({
    makeZip,
    predictLength,
  }))
  const send = (path, { method = 'GET', headers = {}, from = '192.0.2.1' } = {}) =>
    handler(new Request(new URL(path, base), { method, headers }), {
      method,
      remoteAddr: `${from}:5`,
    })
  return { files, transfers, send }
}

test('a path keeps its folders and leads nowhere else', () => {
  const { files } = page()
  files.add([named('/../a/./b.txt'), named('c\\d.txt'), named('e\u0000\nf')])
  assert.deepEqual(
    files.all.map(({ path }) => path),
    ['a/b.txt', 'c/d.txt', 'e__f'],
  )
})

test('a second file of a name gets a number, and the same file none', () => {
  const { files } = page('a.txt', '.profile', 'no-end')
  files.add([
    named('a.txt', 'another'),
    named('a.txt'),
    named('.profile', '1'),
    named('no-end', '2'),
  ])
  assert.deepEqual(
    files.all.map(({ path }) => path),
    ['a.txt', '.profile', 'no-end', 'a (2).txt', '.profile (2)', 'no-end (2)'],
  )
})

test('a page shares so many files, and counts what it leaves out', () => {
  const { files } = page()
  const many = Array.from({ length: mostFiles + 3 }, (_, i) => named(`${i}`, ''))
  assert.equal(files.add(many), 3)
  assert.equal(files.count, mostFiles)
  files.clear()
  assert.equal(files.add([named('a'.repeat(1_001)), named('..'), named('b')]), 2)
})

test('the list is HTML for browsers, JSON for programs and text for people', async () => {
  const { send } = page('dir/<b>&.txt')
  const html = await send('/', { headers: { Accept: 'text/html,*/*' } })
  assert.match(html.headers.get('Content-Security-Policy'), /default-src 'none'/)
  const text = await html.text()
  assert.ok(text.includes('href="files/dir/%3Cb%3E%26.txt"'))
  assert.ok(!text.includes('<b>&.txt'))
  const json = await (await send('/', { headers: { Accept: 'application/json' } })).json()
  assert.deepEqual(json.files[0].path, 'dir/<b>&.txt')
  assert.equal(await (await send('/')).text(), '          12  files/dir/%3Cb%3E%26.txt\n')
})

test('a name outside ASCII is sent in both ways of RFC 6266', async () => {
  const { send } = page('ü"\'.txt')
  const { headers } = await send('/files/%C3%BC%22%27.txt')
  assert.equal(
    headers.get('Content-Disposition'),
    `attachment; filename="__'.txt"; filename*=UTF-8''%C3%BC%22%27.txt`,
  )
  assert.equal(headers.get('Content-Length'), '8')
  assert.equal(headers.get('X-Content-Type-Options'), 'nosniff')
})

test('a path that is no text is not found', async () => {
  const { send } = page('a')
  for (const path of ['/files/%ff', '/files/', '/files/b', '/other']) {
    assert.equal((await send(path)).status, 404, path)
  }
})

test('a download counts what goes out, and nothing before it is taken', async () => {
  const { transfers, send } = page('a.txt')
  const response = await send('/files/a.txt')
  const [about] = transfers.all
  assert.deepEqual(
    { ...about, id: 1 },
    { id: 1, name: 'a.txt', address: '192.0.2.1', from: 0, bytes: 5, sent: 0, state: 'running' },
  )
  assert.equal(await response.text(), 'a.txt')
  assert.equal(about.sent, 5)
  assert.equal(about.state, 'done')
})

test('a visitor who leaves, a file that fails and one that is too short are distinguished', async () => {
  const transfers = new Transfers(() => {})
  const begin = (body) =>
    transfers.begin(new Response(body), { name: 'a', address: 'b', from: 0, bytes: 3 })
  const endless = () => new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(1)) })
  await begin(endless()).body.cancel(new Error('cancelled'))
  await begin(endless()).body.cancel(new Error('closed'))
  const broken = new ReadableStream({ pull: (c) => c.error(new Error('it changed')) })
  await assert.rejects(begin(broken).text(), /it changed/)
  await begin(new Blob(['ab']).stream()).text()
  await begin(new Blob(['abc']).stream()).text()
  assert.deepEqual(
    transfers.all.map(({ state }) => state),
    ['done', 'failed', 'failed', 'failed', 'left'],
  )
})

test('a visitor who takes nothing has a share of the downloads, and others theirs', async () => {
  const { transfers, send } = page('a.txt', 'b.txt')
  const running = []
  for (let i = 0; i < mostAtOnce / 2; i++) running.push(await send('/all.zip'))
  const refused = await send('/files/a.txt')
  assert.equal(refused.status, 503)
  assert.ok(refused.headers.get('Retry-After'))
  assert.equal((await send('/files/a.txt', { from: '192.0.2.2' })).status, 200)
  for (const { body } of running.slice(0, 2)) await body.cancel()
  assert.equal((await send('/files/a.txt')).status, 200)
  // Ended ones are forgotten in time, running ones never.
  for (let i = 0; i < 60; i++) await (await send('/files/a.txt')).text()
  assert.ok(transfers.all.length <= 50)
  assert.equal(transfers.running.length, mostAtOnce / 2)
})

test('several ranges have the length that they have together', async () => {
  const files = new SharedFiles(() => {})
  files.add([named('a.txt', 'hello world')])
  const ranges = () =>
    new Response('--b\r\n…', { status: 206, headers: { 'Content-Length': '123' } })
  const handler = filesHandler(files, new Transfers(() => {}), ranges)
  const request = new Request(`${base}files/a.txt`)
  const { headers } = await handler(request, { method: 'GET', remoteAddr: '192.0.2.1:5' })
  assert.equal(headers.get('Content-Length'), '123')
})

test('the length of a zip is known before it is made', async () => {
  const { files, send } = page('a/ü.txt', 'b.txt')
  files.add([named('empty', '')])
  const response = await send('/all.zip')
  const bytes = (await response.arrayBuffer()).byteLength
  assert.equal(response.headers.get('Content-Length'), `${bytes}`)
  const head = await send('/all.zip', { method: 'HEAD' })
  assert.equal(head.headers.get('Content-Length'), `${bytes}`)
  files.clear()
  assert.equal((await send('/all.zip')).status, 404)
})

test('what the gateway enforces is what was chosen', () => {
  assert.deepEqual(policyOf({ mode: 'anyone', password: '' }), {})
  assert.deepEqual(policyOf({ mode: 'links', password: '' }), { share: true })
  assert.deepEqual(policyOf({ mode: 'password', password: 'x' }), {
    basic: [{ user: 'files', password: 'x' }],
    share: true,
  })
  assert.match(newPassword(), /^([a-z2-9]{4}-){2}[a-z2-9]{4}$/)
})
