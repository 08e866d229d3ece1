import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseEvents } from './pages/events.js'

const message = (data, more = {}) => ({ event: 'message', data, id: '', ...more })

// The examples of the HTML standard, 9.2.6, and its rules one by one.
const cases = {
  'lines of data are joined': ['data: YHOO\ndata: +2\ndata: 10\n\n', [message('YHOO\n+2\n10')]],
  'comments say nothing, an id stays until the next': [
    ': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n',
    [message('first event', { id: '1' }), message('second event'), message(' third event')],
  ],
  'data may be empty, and an event without end is none': [
    'data\n\ndata\ndata\n\ndata:',
    [message(''), message('\n')],
  ],
  'one space after the colon is not part of the value': [
    'data:test\n\ndata: test\n\n',
    [message('test'), message('test')],
  ],
  'an id goes on': [
    'id: 7\n\ndata: a\n\ndata: b\n\n',
    [message('a', { id: '7' }), message('b', { id: '7' })],
  ],
  'an id with NUL is ignored': ['id: 7\nid: 8\0\ndata: a\n\n', [message('a', { id: '7' })]],
  'an event without data is none, and its name is forgotten': [
    'event: ping\n\ndata: a\n\n',
    [message('a')],
  ],
  'an event has the last name given': [
    'event: a\nevent: b\ndata: x\n\n',
    [message('x', { event: 'b' })],
  ],
  'lines end with CR, LF or both': [
    'data: a\r\rdata: b\r\n\r\ndata: c\n\r\n',
    [message('a'), message('b'), message('c')],
  ],
  'a byte order mark is skipped once': ['\ufeffdata: a\n\n\ufeffdata: b\n\n', [message('a')]],
  'unknown fields and names in other case are ignored': [
    'Data: a\nretry: 5\n data: b\nfoo\ndata: c\n\n',
    [message('c')],
  ],
}

for (const [name, [text, want]] of Object.entries(cases)) {
  test(name, () => assert.deepEqual(parseEvents(text), want))
}

test('a text without events has none', () => {
  for (const text of ['', '\n\n\n', '<html>', '{"data":1}\n\n', 'data: a\n']) {
    assert.deepEqual(parseEvents(text), [], JSON.stringify(text))
  }
})

test('very many events are cut', () => {
  assert.equal(parseEvents('data\n\n'.repeat(50_000)).length, 2_000)
})
