import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseMultipart } from './pages/multipart.js'

const bytes = (text) => Uint8Array.from(Buffer.from(text))
const text = (b) => Buffer.from(b).toString()
const form = 'multipart/form-data; boundary=b'
const parse = (content, type = form) => parseMultipart(bytes(content), type)
const part = (fields, content) => `--b\r\n${fields}\r\n\r\n${content}\r\n`

test('what FormData sends comes apart again', async () => {
  const all = Uint8Array.from({ length: 1024 }, (_, i) => i)
  const data = new FormData()
  data.append('a', 'one\r\ntwo')
  data.append('a', '')
  data.append('datei', new File([all], 'bild é.png', { type: 'image/png' }))
  const made = new Response(data)
  const type = made.headers.get('content-type')
  const { parts, fault } = parseMultipart(new Uint8Array(await made.arrayBuffer()), type)
  assert.equal(fault, undefined)
  assert.deepEqual(
    parts.map(({ name, filename }) => [name, filename]),
    [
      ['a', undefined],
      ['a', undefined],
      ['datei', 'bild é.png'],
    ],
  )
  assert.deepEqual(
    parts.map((p) => p.bytes.length),
    [8, 0, 1024],
  )
  assert.equal(text(parts[0].bytes), 'one\r\ntwo')
  assert.deepEqual(parts[2].bytes, all)
  assert.deepEqual(parts[2].headers[1], ['Content-Type', 'image/png'])
})

test('the example of RFC 2046 has two parts, the preamble and the epilogue are none', () => {
  const content = [
    'This is the preamble.  It is to be ignored, though it',
    'is a handy place for composition agents to include an',
    'explanatory note to non-MIME conformant readers.',
    '',
    '--simple boundary',
    '',
    'This is implicitly typed plain US-ASCII text.',
    'It does NOT end with a linebreak.',
    '--simple boundary',
    'Content-type: text/plain; charset=us-ascii',
    '',
    'This is explicitly typed plain US-ASCII text.',
    'It DOES end with a linebreak.',
    '',
    '--simple boundary--',
    '',
    'This is the epilogue.  It is also to be ignored.',
  ].join('\r\n')
  const { parts, fault } = parse(content, 'multipart/mixed; boundary="simple boundary"')
  assert.equal(fault, undefined)
  assert.equal(parts.length, 2)
  assert.deepEqual(parts[0].headers, [])
  assert.equal(parts[0].name, undefined)
  assert.match(text(parts[0].bytes), /^This is implicitly.*a linebreak\.$/s)
  assert.match(text(parts[1].bytes), /^This is explicitly.*a linebreak\.\r\n$/s)
})

test('a line that only begins like the boundary is content', () => {
  const inner = 'x\r\n--bb\r\n--b x\r\n -- b\r\n-'
  const { parts, fault } = parse(`${part('A: 1', inner)}--b \t\r\n\r\ny\r\n--b--`)
  assert.equal(fault, undefined)
  assert.deepEqual(
    parts.map((p) => text(p.bytes)),
    [inner, 'y'],
  )
})

test('parts may have no fields or no content', () => {
  for (const [content, count] of [
    ['--b--', 0],
    ['--b\r\n--b--', 1],
    ['--b\r\nA: 1\r\n--b--', 1],
    ['--b\r\n\r\n--b--', 1],
    ['--b\r\n\r\n\r\n--b\r\nA: 1\r\n\r\n\r\n--b--\r\n', 2],
  ]) {
    const { parts, fault } = parse(content)
    assert.equal(fault, undefined, content)
    assert.equal(parts.length, count, content)
    assert.ok(
      parts.every((p) => !p.bytes.length),
      content,
    )
  }
})

test('names of parameters are found whatever their form', () => {
  const cases = [
    ['form-data; name="a"; filename="x.txt"', 'a', 'x.txt'],
    ['form-data; NAME = a ; filename=x.txt', 'a', 'x.txt'],
    ['form-data; filename="name=\\"b\\"; name=c"; name="a;b"', 'a;b', 'name="b"; name=c'],
    ['form-data; name="a"; filename="C:\\dir\\x.txt"', 'a', 'C:\\dir\\x.txt'],
    ['form-data; name="é"', 'é', undefined],
    ["form-data; name=a; filename=x; filename*=UTF-8''%c3%a9%20x", 'a', 'é x'],
    ["form-data; name=a; filename=x; filename*=UTF-8''%zz", 'a', 'x'],
    ['form-data; name=""', '', undefined],
    ['form-data; name=a; filename=à', 'a', 'à'],
    ['form-data; name="open', 'open', undefined],
    ['form-data;\r\n name="folded"', 'folded', undefined],
    ['form-data', undefined, undefined],
  ]
  for (const [disposition, name, filename] of cases) {
    const { parts } = parse(`${part(`Content-Disposition: ${disposition}`, 'x')}--b--`)
    assert.deepEqual([parts[0].name, parts[0].filename], [name, filename], disposition)
  }
})

test('content that ends early keeps what there is of the last part', () => {
  const { parts, fault } = parse(`${part('A: 1', 'one')}--b\r\nB: 2\r\n\r\ntw`)
  assert.equal(fault, 'the content ends before its last boundary')
  assert.deepEqual(
    parts.map((p) => text(p.bytes)),
    ['one', 'tw'],
  )
})

test('what is malformed says so', () => {
  const cases = [
    ['x', 'text/plain', /not multipart with a boundary/],
    ['x', 'multipart/form-data', /not multipart with a boundary/],
    ['x', 'multipart/form-data; boundary=', /not multipart with a boundary/],
    ['x', `multipart/form-data; boundary=${'b'.repeat(257)}`, /not multipart with a boundary/],
    ['x', form, /the boundary is not in the content/],
    ['', form, /the boundary is not in the content/],
    ['x--b\r\n', form, /the boundary is not in the content/],
    [`${part('no colon', '')}--b--`, form, /a field of a part is malformed/],
    [`${part('A: 1\r\n'.repeat(65).trim(), '')}--b--`, form, /more than 64 fields/],
    [`--b\r\nA: ${'x'.repeat(20_000)}`, form, /the fields of a part do not end/],
    [part('A: 1', '').repeat(201), form, /more than 200 parts/],
  ]
  for (const [content, type, want] of cases) assert.match(parse(content, type).fault, want)
  assert.equal(parse(part('A: 1', '').repeat(201)).parts.length, 200)
})

test('a boundary of backslashes takes no long time', () => {
  const type = `multipart/form-data; boundary="${'\\'.repeat(100_000)}`
  assert.match(parse('x', type).fault, /not multipart/)
})
