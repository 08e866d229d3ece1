import assert from 'node:assert/strict'
import { File } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { helper } from './built.js'
import { serving } from './serving.js'

const { serveFile, servePage } = await helper('files')
const at = new URL('../../schema/vectors/files.json', import.meta.url)
const { cases } = JSON.parse(await readFile(at, 'utf8'))
const usual = { type: 'text/plain', etag: '"v1"', modifiedMs: 784111777000, body: '0123456789' }

describe('files pass every case', () => {
  for (const c of cases) {
    if (c.via && !c.via.includes('sdk-js')) continue
    test(c.name, async () => {
      const { type, etag, modifiedMs: lastModified, ...content } = c.file ?? usual
      const request = asked(c.request)
      const options = JSON.parse(JSON.stringify({ type, etag, lastModified }))
      await compare(serveFile(request, bytesOf(content), options), c)
    })
  }
})

function asked({ method = 'GET', headers }) {
  const request = new Request('http://demo.test/', { headers })
  // Request normalises some methods to upper case; the SDK passes them unchanged.
  return Object.defineProperty(request, 'method', { value: method })
}

function bytesOf({ body = '', bodyBase64 }) {
  return bodyBase64 ? Buffer.from(bodyBase64, 'base64') : Buffer.from(body)
}

async function compare(response, { why, received: want }) {
  assert.equal(response.status, want.status, why)
  for (const [name, value] of want.headers ?? [])
    assert.equal(response.headers.get(name), value, `${name}: ${why}`)
  for (const name of want.absent ?? [])
    assert.equal(response.headers.get(name), null, `${name}: ${why}`)
  const got = Buffer.from(await response.arrayBuffer())
  if (want.status >= 400) return
  if (response.status < 300 && got.length) {
    assert.equal(response.headers.get('content-length'), `${got.length}`, why)
  }
  if (!want.parts) return assert.deepEqual(got, bytesOf(want), why)
  const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(
    response.headers.get('content-type'),
  )[1]
  const parts = want.parts.map(
    ({ range, body }) =>
      `--${boundary}\r\nContent-Type: text/plain\r\nContent-Range: ${range}\r\n\r\n${body}\r\n`,
  )
  assert.equal(got.toString(), `${parts.join('')}--${boundary}--\r\n`, why)
}

const get = (headers) => new Request('http://demo.test/', { headers })

test('the answer has the File’s type, its date and an entity tag that changes with both', async () => {
  const file = (text, lastModified) => new File([text], 'a.csv', { type: 'text/csv', lastModified })
  const response = serveFile(get(), file('a,b', 784111777000))
  assert.equal(response.headers.get('content-type'), 'text/csv')
  assert.equal(response.headers.get('last-modified'), 'Sun, 06 Nov 1994 08:49:37 GMT')
  assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
  const tag = response.headers.get('etag')
  assert.match(tag, /^"[\w-]+"$/)
  assert.equal(serveFile(get(), file('c,d', 784111777000)).headers.get('etag'), tag)
  for (const other of [file('c,d,e', 784111777000), file('a,b', 784111777001)]) {
    assert.notEqual(serveFile(get(), other).headers.get('etag'), tag)
  }
})

test('a date does not resume a download within the second in which a file changed', () => {
  const now = Date.now()
  const response = (lastModified) => {
    const date = new Date(lastModified).toUTCString()
    const request = get({ Range: 'bytes=1-', 'If-Range': date })
    // Dates of HTTP have whole seconds.
    return serveFile(request, Buffer.from('abc'), { lastModified: Date.parse(date) })
  }
  assert.equal(response(now + 60_000).status, 200)
  assert.equal(response(now - 60_000).status, 206)
})

test('a file is unmodified for a visitor who has its date in whole seconds', () => {
  const options = { lastModified: 784111777999 }
  const since = get({ 'If-Modified-Since': 'Sun, 06 Nov 1994 08:49:37 GMT' })
  assert.equal(serveFile(since, Buffer.from('a'), options).status, 304)
})

test('a download has its name, whatever characters that has', () => {
  const named = (download) =>
    serveFile(get(), Buffer.from('a'), { download }).headers.get('content-disposition')
  assert.equal(named('a.txt'), `attachment; filename="a.txt"; filename*=UTF-8''a.txt`)
  assert.equal(
    named('é "x"\\\r\nSet-Cookie: a%b\'(1).txt'),
    `attachment; filename="_ _x____Set-Cookie: a_b'(1).txt"; filename*=UTF-8''%C3%A9%20%22x%22%5C%0D%0ASet-Cookie%3A%20a%25b%27%281%29.txt`,
  )
  assert.match(named('\ud800.txt'), /^attachment; filename="_\.txt"/)
})

test('fields of the program replace the default ones in the answer', () => {
  const headers = { 'Cache-Control': 'max-age=9', 'Content-Type': 'text/csv' }
  const response = serveFile(get({ 'If-None-Match': '"a"' }), Buffer.from('a'), {
    etag: '"a"',
    headers,
  })
  assert.equal(response.status, 304)
  assert.equal(response.headers.get('cache-control'), 'max-age=9')
  const fresh = serveFile(get(), Buffer.from('a'), { type: 'text/plain', headers })
  assert.equal(fresh.headers.get('content-type'), 'text/csv')
})

test('a page has an entity tag of its text, and is HTML', async () => {
  const first = await servePage(get(), '<p>é')
  assert.equal(first.headers.get('content-type'), 'text/html; charset=utf-8')
  assert.equal(await first.text(), '<p>é')
  const tag = first.headers.get('etag')
  assert.equal((await servePage(get({ 'If-None-Match': tag }), '<p>é')).status, 304)
  assert.equal((await servePage(get({ 'If-None-Match': tag }), '<p>e')).status, 200)
})

test('a file of many ranges reaches a visitor through the SDK, whole and with its length', async (t) => {
  const { exchange } = await serving(t, (request) =>
    serveFile(request, new File(['0123456789'], 'a', { type: 'text/plain', lastModified: 0 })),
  )
  const answer = await exchange({ headers: [['Range', 'bytes=2-4']] })
  assert.equal(answer.status, 206)
  assert.equal(answer.body, '234')
  const fields = new Map(answer.headers.map(([name, value]) => [name.toLowerCase(), value]))
  assert.equal(fields.get('content-range'), 'bytes 2-4/10')
  const head = await exchange({ method: 'HEAD' })
  assert.equal(head.body, undefined)
  assert.equal(new Map(head.headers).get('content-length'), '10')
})
