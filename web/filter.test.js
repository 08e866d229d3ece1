import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseFilter } from './pages/filter.js'

const base = {
  id: 'e1',
  url: 'https://demo.gw.example/hook/a?x=1',
  method: 'POST',
  target: '/hook/a?x=1',
  httpVersion: '1.1',
  remoteAddr: '192.0.2.1:5000',
  receivedAt: '2026-11-29T12:00:00Z',
  state: 'ended',
  attempt: 1,
  status: 502,
  outcome: 'failed',
  code: 'handler_failed',
  doneMs: 120,
  requestBytes: 1000,
  responseBytes: 24,
}
const passes = (text, more = {}) => parseFilter(text).test({ ...base, ...more })

test('each term passes what it names', () => {
  const cases = [
    ['', {}, true],
    ['status>=500', {}, true],
    ['status>=500', { status: 499 }, false],
    ['status>=500', { status: undefined }, false],
    ['status=404', { status: 404 }, true],
    ['status=404', {}, false],
    ['status=5xx', {}, true],
    ['status=5XX', { status: 599 }, true],
    ['status=5xx', { status: 404 }, false],
    ['status!=4xx', {}, true],
    ['status!=200', {}, true],
    ['status!=200', { status: 200 }, false],
    ['status!=200', { status: undefined }, true],
    ['status<300', { status: 204 }, true],
    ['status<=204', { status: 204 }, true],
    ['status>204', { status: 204 }, false],
    ['method=POST', {}, true],
    ['method=post', {}, true],
    ['METHOD=post', {}, true],
    ['method=GET', {}, false],
    ['method!=GET', {}, true],
    ['path^=/hook', {}, true],
    ['path^=hook', {}, false],
    ['path~=ook', {}, true],
    ['path~=OOK', {}, false],
    ['path~=x=1', {}, true],
    ['path=/hook/a', {}, true],
    ['path=/hook/a?x=1', {}, true],
    ['path=/hook', {}, false],
    ['path!=/hook', {}, true],
    ['path^=/é', { target: '/\u00c3\u00a9' }, true],
    ['code=handler_failed', {}, true],
    ['code=no_handler', {}, false],
    ['outcome=failed', {}, true],
    ['outcome!=failed', {}, false],
    ['trace=0af7651916cd43dd8448eb211c80319c', {}, false],
    [
      'trace=0AF7651916cd43dd8448eb211c80319c',
      { trace: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } },
      true,
    ],
    ['trace!=0af7651916cd43dd8448eb211c80319c', {}, true],
    ['ms>100', {}, true],
    ['ms<100.5', {}, false],
    ['ms>0', { doneMs: undefined }, false],
    ['bytes>1023', {}, true],
    ['bytes>1024', {}, false],
    ['bytes=1024', {}, true],
    ['is:replay', {}, false],
    ['is:replay', { replayOf: 'e0' }, true],
    ['is:websocket', { upgrade: 'WebSocket' }, true],
    ['is:websocket', { upgrade: 'h2c' }, false],
    ['is:open', {}, false],
    ['is:open', { state: 'answering' }, true],
    ['content:anything', {}, true],
    ['HOOK', {}, true],
    ['"x=1"', {}, true],
    ['/hook/a?x=1', {}, true],
    ['other', {}, false],
  ]
  for (const [text, more, want] of cases) {
    assert.deepEqual(parseFilter(text).faults, [], text)
    assert.equal(passes(text, more), want, `${text} ${JSON.stringify(more)}`)
  }
})

test('all terms must hold', () => {
  assert.equal(passes('  status>=500\tpath^=/hook\n method=POST '), true)
  assert.equal(passes('status>=500 path^=/other method=POST'), false)
})

test('a hyphen negates a term', () => {
  assert.equal(passes('-method=GET'), true)
  assert.equal(passes('-method=POST'), false)
  assert.equal(passes('-method!=POST'), true)
  assert.equal(passes('-status=5xx'), false)
  assert.equal(passes('-is:replay -other'), true)
  assert.equal(passes('-hook'), false)
  assert.equal(passes('-"x=1"'), false)
})

test('values may be quoted', () => {
  const target = '/a b?q="\\'
  assert.equal(passes('path^="/a b"', { target }), true)
  assert.equal(passes('"a b"', { target }), true)
  assert.equal(passes('path~="\\"\\\\"', { target }), true)
  assert.equal(passes('path~="a"" b"', { target }), true)
  assert.equal(parseFilter('content:"some words"').params.get('content'), 'some words')
})

test('params ask the gateway for what it can filter', () => {
  const cases = {
    'method=post status=5xx path^=/hook code=no_handler content:"a b"':
      'method=POST&status=5xx&path=%2Fhook&code=no_handler&content=a+b',
    'path=/x': 'path=%2Fx',
    'status>=500 ms>1 bytes>1 is:open outcome=done word path~=x': '',
    '-method=GET method!=GET status!=200 -path^=/a -code=x': '',
    'method=GET method=POST': 'method=GET',
  }
  for (const [text, want] of Object.entries(cases)) {
    assert.equal(parseFilter(text).params.toString(), want, text)
  }
})

test('a fault names its term and says what is allowed, and the term hides nothing', () => {
  const cases = [
    [
      'status>=abc',
      /^“status>=abc”: a status is three digits such as 404, or a class such as 5xx\.$/,
    ],
    ['status>5xx', /^“status>5xx”: a class such as 5xx takes = or !=\.$/],
    ['status~=5', /^“status~=5”: "status" takes = != > >= < <= before its value\.$/],
    ['stats=500', /^“stats=500”: there is no "stats" to filter by; use status, method, path/],
    ['constructor=1', /there is no "constructor" to filter by/],
    ['method=', /^“method=”: a value is missing, such as method=POST\.$/],
    ['outcome=broken', /an outcome is one of done, failed, timed_out, abandoned\.$/],
    ['ms>1s', /^“ms>1s”: the value is a number, without a unit\.$/],
    ['is:odd', /^“is:odd”: is: takes replay, websocket or open\.$/],
    ['-content:x', /^“-content:x”: content can be searched for, but not excluded\.$/],
    ['-', /^“-”: a word is missing\.$/],
    ['""', /^“""”: a word is missing\.$/],
    ['-""', /^“-""”: a word is missing\.$/],
  ]
  for (const [text, want] of cases) {
    const { faults, params } = parseFilter(text)
    assert.equal(faults.length, 1, text)
    assert.match(faults[0], want)
    assert.equal(passes(text), true, text)
    assert.equal(params.toString(), '', text)
  }
})

test('a quotation mark that is not closed reaches to the end', () => {
  const { faults, test } = parseFilter('path^="/hook/a method=GET')
  assert.deepEqual(faults, ['“path^="/hook/a method=GET”: the quotation mark is not closed.'])
  assert.equal(test({ ...base, target: '/hook/a method=GET' }), true)
  assert.equal(test(base), false)
})

test('a filter is bounded, and so is what it says', () => {
  const many = parseFilter('-other '.repeat(10_000))
  assert.deepEqual(many.faults, ['A filter has at most 64 terms and 4096 characters.'])
  const { faults } = parseFilter(`ms>${'9'.repeat(4_000)}`)
  assert.ok(faults[0].length < 200, faults[0])
})

test('no text throws', () => {
  const pieces = [
    ' ',
    '"',
    '\\',
    '-',
    '=',
    '>',
    '^=',
    '~=',
    ':',
    'is',
    'status',
    'content',
    '5xx',
    'é',
    '\ud800',
    '\0',
    '\n',
  ]
  let seed = 7
  const next = (n) => (seed = (seed * 48_271) % 2_147_483_647) % n
  for (let i = 0; i < 20_000; i++) {
    const text = Array.from({ length: next(12) }, () => pieces[next(pieces.length)]).join('')
    const { test, params, faults } = parseFilter(text)
    assert.equal(typeof test(base), 'boolean', JSON.stringify(text))
    assert.ok(params.size <= 5 && faults.every((f) => f.endsWith('.')), JSON.stringify(text))
  }
})
