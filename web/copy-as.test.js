import { execFile, spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { copyAs } from './pages/copy-as.js'

const run = promisify(execFile)
const bytes = (text) => Uint8Array.from(Buffer.from(text))
const wire = (text) => Buffer.from(text).toString('latin1')
const has = (program) => !spawnSync(program, ['--version']).error

// What tools read as something else: files, options, code, ends of strings.
const hostile = [
  `it's "quoted" $(touch pwned) \`touch pwned\` \${HOME} !! \\ \\' \\x41`,
  '@/etc/passwd',
  '-o/tmp/pwned',
  '--next',
  '$HOME; rm -rf pwned | cat > pwned & <pwned',
  `'; touch pwned; '`,
  '%s%n %41 *?[a-z]{b,c} ~ #x',
  '</script><!-- ${`x`} \\u0041',
]

let server
let origin
let folder
let arrived

before(async () => {
  server = createServer((request, response) => {
    const parts = []
    request.on('data', (part) => parts.push(part))
    request.on('end', () => {
      arrived.push({
        method: request.method,
        target: request.url,
        headers: pairs(request.rawHeaders),
        content: new Uint8Array(Buffer.concat(parts)),
      })
      response.end()
    })
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  origin = `http://127.0.0.1:${server.address().port}`
  folder = mkdtempSync(join(tmpdir(), 'copy-as-'))
})

after(() => {
  server.closeAllConnections()
  server.close()
  rmSync(folder, { recursive: true })
})

function pairs(raw) {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i], raw[2 * i + 1]])
}

/** Runs what was copied, and returns what arrived of it without what each tool makes. */
async function sent(kind, request, shell = 'bash') {
  const copied = copyAs(kind, { headers: [], content: new Uint8Array(), ...request })
  arrived = []
  if (kind === 'fetch') {
    // As a file: a large one is too long for an argument.
    writeFileSync(join(folder, 'copied.mjs'), copied)
    await run('node', ['copied.mjs'], { cwd: folder })
  } else {
    writeFileSync(join(folder, 'copied.sh'), copied)
    await run(shell, ['copied.sh'], { cwd: folder })
  }
  assert.equal(arrived.length, 1, copied)
  const [{ headers, ...rest }] = arrived
  const made = /^(?:host|content-length|connection)$/i
  return { ...rest, headers: headers.filter(([name]) => !made.test(name)) }
}

const always = [
  ['User-Agent', 'tool/1'],
  ['Accept', '*/*'],
  ['Accept-Encoding', 'gzip'],
  ['Content-Type', 'text/x-odd; a="b"'],
]
const fields = [
  ...always,
  ...hostile.map((value, i) => [`X-Hostile-${i}`, value]),
  ['X-Text', wire('é 😀 \u202e')],
  ['X-Last', wire('à')],
  ['X-Bytes', '\xff\xfeA\x80b'],
  ['X-Tab', 'a\tb'],
  ['X-Empty', ''],
  ["!#$%&'*+-.^_`|~", 'a name of all signs'],
  ['-X', 'begins with a hyphen'],
  ['X-Twice', '1'],
  ['X-Twice', '2'],
  ['Authorization', 'Basic dTpw'],
  ['Cookie', 'a=1; b="2"'],
]

const contents = {
  JSON: bytes('{"a": "it\'s",\n  "b": [1]}\n'),
  'line ends': bytes('a\r\nb\rc\n\n'),
  'a file': bytes('@/etc/passwd'),
  'an option': bytes('--next'),
  code: bytes(hostile.join('\n')),
  'text with marks': bytes('\ufeffé😀\u0301 \u202e \u00a0\u2028\x1b[31m\x7f'),
  NUL: bytes('a\0b'),
  bytes: Uint8Array.from({ length: 256 }, (_, i) => i),
  'not quite UTF-8': Uint8Array.of(0x27, 0xc3, 0x27, 0xff),
  'more than an argument': bytes(`é'`.repeat(70_000)),
}

for (const shell of ['bash', 'zsh']) {
  test(`what ${shell} sends with curl is the request`, async (t) => {
    if (!has('curl') || !has(shell)) return t.skip(`no curl or no ${shell}`)
    const url = `${origin}/a/../b//c/%2e%2E/d[1]{x,y}?q='$(touch pwned)'&"\`x\`\\!*;|<>^`
    const target = url.slice(origin.length).replace(' ', '%20')
    const got = await sent(
      'curl',
      { method: 'POST', url, headers: fields, content: bytes('x') },
      shell,
    )
    assert.deepEqual(got, { method: 'POST', target, headers: fields, content: bytes('x') })
    for (const [name, content] of Object.entries(contents)) {
      const request = { method: 'PUT', url: origin, content }
      const { content: came } = await sent('curl', request, shell)
      assert.deepEqual(came, content, name)
    }
  })
}

test('curl adds no field, and sends each method as it is', async (t) => {
  if (!has('curl')) return t.skip('no curl')
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'M-SEARCH']) {
    const got = await sent('curl', { method, url: `${origin}/x` })
    assert.deepEqual(got, { method, target: '/x', headers: [], content: bytes('') })
    if (method === 'HEAD') continue
    const content = bytes('x')
    const more = await sent('curl', { method, url: `${origin}/x`, content })
    assert.deepEqual(more, { method, target: '/x', headers: [], content })
  }
  await sent('curl', { method: 'POST', url: origin, headers: [['content-length', '0']] })
  assert.ok(arrived[0].headers.some(([name, value]) => name === 'Content-Length' && value === '0'))
})

test('what Node sends with fetch is the request', async () => {
  const url = `${origin}/a\\b/c[1]{x}?q=$(touch)&'!*;|^\\`
  const got = await sent('fetch', { method: 'POST', url, headers: fields, content: bytes('x') })
  assert.equal(got.method, 'POST')
  assert.match(got.target, /^\/a%5Cb\/c\[1\](?:\{x\}|%7Bx%7D)\?q=\$\(touch\)&(?:'|%27)!\*;\|\^\\$/)
  // fetch joins fields of one name and writes them in small letters.
  const values = new Map()
  for (const [name, value] of fields) {
    const lower = name.toLowerCase()
    values.set(lower, values.has(lower) ? `${values.get(lower)}, ${value}` : value)
  }
  const came = new Map(got.headers.map(([name, value]) => [name.toLowerCase(), value]))
  for (const [name, value] of values) assert.equal(came.get(name), value, name)
  for (const [name, content] of Object.entries(contents)) {
    const { content: came, headers } = await sent('fetch', { method: 'PUT', url: origin, content })
    assert.deepEqual(came, content, name)
    assert.ok(!headers.some(([name]) => name.toLowerCase() === 'content-type'), name)
    const typed = { method: 'PUT', url: origin, headers: always, content }
    assert.deepEqual((await sent('fetch', typed)).content, content, name)
  }
})

test('a comment says that fetch sends no content with GET', async () => {
  const got = await sent('fetch', { method: 'GET', url: `${origin}/x`, content: bytes('x') })
  assert.deepEqual([got.method, got.content.length], ['GET', 0])
  const copied = copyAs('fetch', { method: 'GET', url: origin, headers: [], content: bytes('x') })
  assert.match(copied, /fetch sends no content with GET/)
  const plain = { method: 'GET', url: `${origin}/`, headers: [], content: bytes('') }
  assert.equal(copyAs('fetch', plain), `await fetch("${origin}/")\n`)
})

test('what bash sends with HTTPie is the request', async (t) => {
  if (!has('http')) return t.skip('no HTTPie')
  const odd = [
    ['X-Equal', '=@x'],
    ['X-At', '@/etc/passwd'],
    ['X-Separators', 'a:b;c=d@e==f:=g \\\\:h \\n'],
  ]
  const sendable = [...fields, ...odd].filter(([name]) => name !== 'X-Bytes')
  const request = { method: 'POST', url: `${origin}/x?a='b'`, content: bytes('x') }
  const got = await sent('httpie', { ...request, headers: sendable })
  assert.equal(got.method, 'POST')
  const sorted = (headers) => headers.map(([n, v]) => `${n.toLowerCase()}: ${v.trim()}`).sort()
  assert.deepEqual(sorted(got.headers), sorted(sendable))
  assert.deepEqual(got.content, bytes('x'))
  for (const [name, content] of Object.entries(contents)) {
    const got = await sent('httpie', { method: 'PUT', url: origin, content })
    assert.deepEqual(got.content, content, name)
    const own = got.headers.map(([name]) => name.toLowerCase())
    assert.deepEqual(own.sort(), ['accept-encoding', 'user-agent'], name)
  }
})

test('HTTPie has comments for what it cannot send', () => {
  const url = 'http://x.example/'
  const headers = [
    ['X-Bytes', '\xff'],
    ['X-Backslash', '\\:'],
  ]
  const copied = copyAs('httpie', { method: 'GET', url, headers, content: bytes('') })
  assert.match(copied, /^# .*'X-Bytes'\.\n# .*'X-Backslash'\.\nhttp /)
  const method = copyAs('httpie', { method: 'M-SEARCH', url, headers: [], content: bytes('') })
  assert.equal(method, "# HTTPie sends no method 'M-SEARCH'.\n")
})

const framing = [
  ['Host', 'demo.gw.example'],
  ['Content-Length', '5'],
  ['Connection', 'keep-alive, X-Hop'],
  ['X-Hop', '1'],
  ['Via', '1.1 x'],
  ['Forwarded', 'for=192.0.2.1'],
  ['X-Forwarded-For', '192.0.2.1'],
  ['Transfer-Encoding', 'chunked'],
  ['X-Kept', 'é'],
  ['X-Line', 'a\r\nX-Injected: 1'],
  ['X-NUL', 'a\0'],
  ['X Space', '1'],
]

test('fields of the connection and of the gateway, and impossible ones, are left out', () => {
  const request = {
    method: 'POST',
    url: 'https://demo.gw.example/x',
    headers: framing,
    content: bytes('hello'),
  }
  for (const kind of ['curl', 'fetch', 'httpie', 'har']) {
    const copied = copyAs(kind, request)
    assert.match(copied, /X-Kept/, kind)
    assert.doesNotMatch(
      copied,
      /"?Host|Content-Length|X-Hop|Via|orwarded|chunked|X-Line|NUL|X Space/,
      kind,
    )
  }
  const other = { ...request, url: 'https://127.0.0.1:8080/x' }
  assert.match(copyAs('curl', other), /-H 'Host: demo\.gw\.example'/)
  assert.match(copyAs('curl', { ...request, url: 'https://demo.gw.example:8443/' }), /-H 'Host: /)
  assert.doesNotMatch(copyAs('curl', { ...request, url: 'https://DEMO.gw.example:443/' }), /Host/)
})

test('raw is the message', () => {
  const headers = [['content-type', 'text/plain'], ['X-Text', wire('é')], ...framing]
  const request = {
    method: 'POST',
    url: 'https://demo.gw.example?a b',
    headers,
    content: bytes('hällo'),
  }
  assert.equal(
    copyAs('raw', request),
    'POST /?a%20b HTTP/1.1\r\nHost: demo.gw.example\r\ncontent-type: text/plain\r\nX-Text: é\r\n' +
      'X-Kept: é\r\nContent-Length: 6\r\n\r\nhällo',
  )
})

test('HAR has the request as importers read it', () => {
  const url = 'https://demo.gw.example/x?a=1&a=%C3%A9'
  const headers = [
    ['Content-Type', 'text/plain'],
    ['Cookie', 'a=1; b=x=y'],
  ]
  const { log } = JSON.parse(copyAs('har', { method: 'POST', url, headers, content: bytes('é') }))
  assert.equal(log.version, '1.2')
  const [{ request, response, startedDateTime }] = log.entries
  assert.ok(Date.parse(startedDateTime))
  assert.equal(response.status, 0)
  assert.deepEqual(request.queryString, [
    { name: 'a', value: '1' },
    { name: 'a', value: 'é' },
  ])
  assert.deepEqual(request.cookies, [
    { name: 'a', value: '1' },
    { name: 'b', value: 'x=y' },
  ])
  assert.deepEqual(request.postData, { mimeType: 'text/plain', text: 'é' })
  const binary = JSON.parse(
    copyAs('har', { method: 'POST', url, headers, content: Uint8Array.of(255, 0) }),
  )
  assert.deepEqual(binary.log.entries[0].request.postData, {
    mimeType: 'text/plain',
    text: '/wA=',
    encoding: 'base64',
  })
})

test('what was copied ran nothing else', () => {
  const { stdout } = spawnSync('ls', [folder], { encoding: 'utf8' })
  assert.doesNotMatch(stdout, /pwned/)
})
