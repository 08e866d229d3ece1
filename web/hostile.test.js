// What strangers send, at random: no module throws, loops or lets through what it must not. The numbers
// are the same in each run, and a failure names its input.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { copyAs } from './pages/copy-as.js'
import { parseEvents } from './pages/events.js'
import { bytesOf, trimmed } from './pages/field.js'
import { parseFilter } from './pages/filter.js'
import { namedBy } from './pages/feed.js'
import { hexRows } from './pages/hex.js'
import { isSecret, maskTarget, maskValue } from './pages/mask.js'
import { parseForm, parseMultipart } from './pages/multipart.js'
import { resign, schemeOf } from './pages/resign.js'

let seed = 20_261_129
/** A number from 0 up to n (Park and Miller). */
function below(n) {
  seed = (seed * 48_271) % 2_147_483_647
  return seed % n
}
const one = (list) => list[below(list.length)]
const some = (most, make) => Array.from({ length: below(most + 1) }, make)
const pieces = (list, most) => some(most, () => one(list)).join('')
const randomBytes = (most) => Uint8Array.from(some(most, () => below(256)))
const latin1 = (bytes) => Buffer.from(bytes).toString('latin1')

const signs = [...'\0\t\n\r !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~\x7f\x80\xa0\xc3\xa9\xff', 'a', '5xx']
const words = [
  'status',
  'path',
  'method',
  'is',
  'content',
  '>=',
  '^=',
  '!=',
  ':',
  '-',
  '"',
  'token',
]

test('filters', () => {
  for (let i = 0; i < 20_000; i++) {
    const text = pieces([...signs, ...words, '\ud800', '😀'], 12)
    const { test, params, faults } = parseFilter(text)
    const said = JSON.stringify(text)
    assert.equal(typeof test({ target: '/', method: 'GET', state: 'ended' }), 'boolean', said)
    const known = ['method', 'status', 'path', 'code', 'content']
    assert.ok(
      [...params.keys()].every((name) => known.includes(name)),
      said,
    )
    assert.ok(
      faults.every((fault) => fault.length < 400),
      said,
    )
  }
})

test('forms and events', () => {
  for (let i = 0; i < 5_000; i++) {
    const text = pieces(
      [...signs, 'data', 'id:', 'event:', '\n\n', '\ufeff', '%C3%A9', '\udfff'],
      30,
    )
    for (const pair of parseForm(text)) assert.equal(pair.length, 2)
    for (const { event, data, id } of parseEvents(text)) {
      assert.ok(event && !/[\r\n]/.test(event + id) && !id.includes('\0'), JSON.stringify(text))
      assert.ok(!data.includes('\r'), JSON.stringify(text))
    }
  }
})

test('rows of hex are the bytes', () => {
  for (let i = 0; i < 500; i++) {
    const bytes = randomBytes(200)
    const from = below(250) - 25
    const to = below(250) - 25
    const rows = hexRows(bytes, from, to)
    const first = Math.floor(Math.min(Math.max(from, 0), bytes.length) / 16) * 16
    const want = Buffer.from(bytes.subarray(first, Math.max(first, Math.min(to, bytes.length))))
    const got = rows.map(({ hex }) => hex.replaceAll(' ', '')).join('')
    assert.equal(got, want.toString('hex'), `${from} to ${to} of ${bytes.length}`)
    assert.ok(rows.every(({ text }) => /^[\x20-\x7e]{1,16}$/.test(text)))
  }
})

test('multipart content', () => {
  const tokens = [
    '\r\n',
    '\r\n--b',
    '--b',
    '--',
    '\r\n\r\n',
    'Content-Disposition: form-data',
    '; name="',
    '; filename*=',
    "UTF-8''%",
    ...signs,
  ]
  for (let i = 0; i < 10_000; i++) {
    const content = Uint8Array.from(Buffer.from(pieces(tokens, 40), 'latin1'))
    const type = one([
      'multipart/form-data; boundary=b',
      `multipart/x; ${pieces(tokens, 8)}`,
      'multipart/x; boundary="b',
      pieces(tokens, 8),
    ])
    const said = JSON.stringify([latin1(content), type])
    const { parts, fault } = parseMultipart(content, type)
    assert.ok(fault === undefined || fault.length < 100, said)
    // Parts are pieces of the content that do not overlap: none is a copy.
    let at = 0
    for (const { bytes, headers } of parts) {
      assert.equal(bytes.buffer, content.buffer, said)
      assert.ok(bytes.byteOffset >= at && headers.length <= 64, said)
      at = bytes.byteOffset + bytes.length
    }
  }
})

test('what is split and put together again is the same', () => {
  for (let i = 0; i < 1_000; i++) {
    const contents = some(5, () => randomBytes(60)).filter((b) => !latin1(b).includes('--b'))
    const joined = contents.map((b) => `--b\r\nA: 1\r\n\r\n${latin1(b)}\r\n`).join('')
    const bytes = Uint8Array.from(Buffer.from(`${joined}--b--`, 'latin1'))
    const { parts, fault } = parseMultipart(bytes, 'multipart/mixed; boundary=b')
    assert.equal(fault, undefined)
    assert.deepEqual(
      parts.map((p) => latin1(p.bytes)),
      contents.map(latin1),
    )
  }
})

test('masks let no secret through', () => {
  const names = [
    'token',
    'X-Api-Key',
    'password',
    'api%5Fkey',
    'client.secret',
    'sig',
    'a[session]',
  ]
  for (let i = 0; i < 10_000; i++) {
    const before = pieces(signs, 6).replace(/[&;#=]/g, '')
    const after = pieces(signs, 6).replace(/[&;#]/g, '')
    const target = `/${pieces(signs, 6)}?${pieces(signs, 6)}&${one(names)}=${before}hunter2${after}&z=1`
    assert.doesNotMatch(maskTarget(target), /hunter2/, JSON.stringify(target))
    const cookie = `${pieces(signs, 6)}; a=${before}hunter2${after}`
    assert.doesNotMatch(maskValue('Cookie', cookie), /hunter2/, JSON.stringify(cookie))
    const field = `${before}hunter2${after} ${pieces(signs, 6)}`
    const set = `a=${field}; Path=/`
    assert.doesNotMatch(maskValue('Set-Cookie', set), /hunter2/, JSON.stringify(set))
    for (const name of ['Authorization', 'Proxy-Authorization', 'X-Token']) {
      assert.doesNotMatch(maskValue(name, field), /hunter2/, JSON.stringify(field))
    }
    assert.equal(typeof isSecret(pieces([...signs, ...words], 6)), 'boolean')
  }
})

const requests = Array.from({ length: 400 }, () => ({
  method: one(['GET', 'POST', 'PUT', 'M-SEARCH', '-X', "$'`"]),
  url: `http://127.0.0.1:1/${pieces(signs, 10)}`,
  headers: some(4, () => [one(['A', 'b', '-H', 'X-Y', "$'`", 'Content-Type']), pieces(signs, 8)]),
  content: one([randomBytes(40), new TextEncoder().encode(pieces([...signs, '@', '😀'], 12))]),
}))
const sendable = (headers) =>
  headers
    .filter(([, value]) => /^[\t\x20-\x7e\x80-\xff]*$/.test(value))
    .map(([name, value]) => [name, trimmed(value)])

test('no copy throws', () => {
  for (const request of requests) {
    for (const kind of ['curl', 'fetch', 'httpie', 'raw', 'har']) {
      assert.equal(typeof copyAs(kind, request), 'string', JSON.stringify(request))
    }
  }
})

test('bash gives curl and HTTPie the request as their arguments, and runs nothing more', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hostile-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const find = ['-c', 'command -v bash base64']
  const [bash, base64] = `${spawnSync('bash', find, { encoding: 'utf8' }).stdout}`.split('\n')
  if (!base64) return t.skip('no bash or no base64')
  symlinkSync(base64, join(folder, 'base64'))
  // Each tool is replaced by a function that prints its arguments, with NULs after them and at its end.
  const record = (name) => `${name}() { printf '%s\\0' ${name} "$@"; printf '\\0'; }\n`
  const commands = requests.map((request) => copyAs('curl', request) + copyAs('httpie', request))
  writeFileSync(join(folder, 'all.sh'), record('curl') + record('http') + commands.join(''))
  const ran = spawnSync(bash, ['--norc', 'all.sh'], {
    cwd: folder,
    env: { PATH: folder },
    encoding: 'latin1',
    maxBuffer: 1e8,
  })
  assert.equal(ran.stderr, '')
  assert.equal(ran.status, 0)
  const calls = ran.stdout.split(/\0\0(?=curl\0|http\0|$)/).filter(Boolean)
  const curls = calls.filter((call) => call.startsWith('curl\0')).map((call) => call.split('\0'))
  assert.equal(curls.length, requests.length)
  for (const [i, { method, headers, content }] of requests.entries()) {
    const said = JSON.stringify(requests[i])
    const args = curls[i]
    const fields = args.filter((_, at) => args[at - 1] === '-H')
    const want = sendable(headers).map(([name, value]) =>
      value ? `${name}: ${value}` : `${name};`,
    )
    assert.deepEqual(fields.slice(0, want.length), want, said)
    const raw = args.indexOf('--data-raw')
    if (raw >= 0) assert.equal(args[raw + 1], latin1(content), said)
    else assert.equal(args.at(-1) === '@-', content.length > 0, said)
    const asked = args[args.indexOf('-X') + 1]
    if (args.includes('-X')) assert.equal(asked, method, said)
  }
})

test('a call of fetch has the request as its arguments, and does nothing else', async () => {
  const Code = Object.getPrototypeOf(async () => {}).constructor
  for (const request of requests) {
    const said = JSON.stringify(request)
    const calls = []
    await new Code('fetch', copyAs('fetch', request))((...args) => calls.push(args))
    assert.equal(calls.length, 1, said)
    const [url, { method = 'GET', headers = [], body } = {}] = calls[0]
    assert.match(url, /^http:\/\/127\.0\.0\.1:1\/[\x21-\x7e]*$/, said)
    assert.equal(method, request.method, said)
    assert.deepEqual(headers, sendable(request.headers), said)
    if (!request.content.length || method === 'GET') assert.equal(body, undefined, said)
    else assert.deepEqual(new Uint8Array(Buffer.from(body)), request.content, said)
  }
})

test('signing again keeps every other field', async () => {
  const known = [
    'Webhook-Id',
    'webhook-signature',
    'svix-signature',
    'Stripe-Signature',
    'X-Slack-Signature',
    'x-hub-signature-256',
  ]
  const signed = /^(?:webhook|svix|stripe|x-slack|x-hub)-/i
  for (let i = 0; i < 500; i++) {
    const headers = some(6, () => [one([...known, 'A', 'Host']), pieces(signs, 6)])
    const scheme = schemeOf(headers) ?? one(['standard', 'stripe', 'slack', 'github'])
    const fresh = await resign(scheme, 'c2VjcmV0', headers, randomBytes(50), below(1e9))
    const others = (list) => list.filter(([name]) => !signed.test(name))
    assert.deepEqual(others(fresh), others(headers))
    assert.equal(schemeOf(fresh) !== undefined, true)
    for (const [, value] of fresh) assert.ok(bytesOf(value).length === value.length)
  }
})

test('long runs of anything come to an end', () => {
  // With an expression that backtracks over them, some of these would take hours.
  for (const sign of [
    ...signs,
    '\\"',
    '; ',
    '\r\n',
    '\r\n--b',
    'a=',
    '"a"',
    '%5',
    '=;',
    '?=',
    ' a',
    '<link',
    '<link rel=',
  ]) {
    const text = sign.repeat(60_000)
    namedBy(text, text, 'http://x/')
    parseFilter(text)
    parseForm(text)
    parseEvents(text)
    parseMultipart(Uint8Array.from(Buffer.from(text, 'latin1')), 'multipart/x; boundary=b')
    parseMultipart(new Uint8Array(), `multipart/x; ${text}`)
    parseMultipart(new Uint8Array(), `multipart/x; boundary="${text}`)
    maskTarget(`/?${text}`)
    for (const name of ['Cookie', 'Set-Cookie', 'Authorization', 'Location', text])
      maskValue(name, text)
    const headers = [
      ['Cookie', text],
      ['A', ` ${text}x`],
      ['Host', text],
      [text, text],
    ]
    const request = { method: text, url: `http://x/${text}`, headers, content: bytesOf(text) }
    for (const kind of ['curl', 'fetch', 'httpie', 'raw', 'har']) copyAs(kind, request)
    schemeOf(headers)
  }
})
