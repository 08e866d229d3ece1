// Questions of strangers to a person: what each asker gets, in which form, and until when.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writeLog } from './pages/ask-log.js'
import { askHandler, mostInMinute, mostOfOne, mostQuestions, Questions } from './pages/questions.js'

const base = 'http://ann.localhost:8080/'
const json = { 'Content-Type': 'application/json' }

/** A person's page: the changes that it got, and the questions. */
function page() {
  const told = []
  let now = 1_000_000
  const questions = new Questions(
    (question) => told.push([question.state, question.text]),
    () => now,
  )
  const handler = askHandler(questions)
  /** Sends a request, and returns the response. */
  const send = (
    path,
    { method = 'GET', headers = {}, content = '', leaves, from = '192.0.2.1:5' } = {},
  ) => {
    const bytes = new TextEncoder().encode(content)
    const init = { method, headers, ...(content && { body: content }) }
    const request = new Request(new URL(path, base), init)
    const signal = leaves ?? new AbortController().signal
    const info = {
      method,
      base,
      content: bytes,
      body: null,
      remoteAddr: from,
      timeoutMs: 600_000,
      signal,
    }
    return handler(request, info)
  }
  const ask = (content, headers = {}, more = {}) =>
    send('/', { method: 'POST', content, headers, ...more })
  return { told, questions, send, ask, pass: (ms) => (now += ms) }
}

/** Waits until a question is there, which the handler adds in a while. */
async function next(questions) {
  for (;;) {
    const [first] = questions.waiting()
    if (first) return first
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('what is answered is the response', async () => {
  const { told, questions, ask } = page()
  const asking = ask('Shall we have lunch?')
  const question = await next(questions)
  assert.equal(question.text, 'Shall we have lunch?')
  assert.equal(question.address, '192.0.2.1')
  assert.equal(questions.end(question.id, 'answered', 'At noon'), true)
  const response = await asking
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('Content-Type'), 'text/plain; charset=utf-8')
  assert.equal(await response.text(), 'At noon\n')
  assert.equal(questions.end(question.id, 'answered', 'again'), false)
  assert.deepEqual(told, [
    ['waiting', 'Shall we have lunch?'],
    ['answered', 'Shall we have lunch?'],
  ])
})

for (const [name, content, headers, text, options, from] of [
  [
    'JSON',
    '{"question":" Ship it? ","options":["yes","no","yes"],"from":"CI"}',
    json,
    'Ship it?',
    ['yes', 'no'],
    'CI',
  ],
  ['a JSON text', '"Ship it?"', json, 'Ship it?', [], ''],
  [
    'a form',
    'question=Ship+it%3F&option=yes&option=no&option=&from=Bo',
    { 'Content-Type': 'application/x-www-form-urlencoded' },
    'Ship it?',
    ['yes', 'no'],
    'Bo',
  ],
  [
    'any text of curl',
    'Is 1+1=2 & why?',
    { 'Content-Type': 'application/x-www-form-urlencoded' },
    'Is 1+1=2 & why?',
    [],
    '',
  ],
]) {
  test(`a question comes as ${name}`, async () => {
    const { questions, ask } = page()
    const asking = ask(content, headers)
    const question = await next(questions)
    assert.deepEqual([question.text, question.options, question.from], [text, options, from])
    questions.end(question.id, 'answered', 'yes')
    await asking
  })
}

for (const [name, content, headers, status] of [
  ['nothing', ' ', {}, 400],
  ['no JSON', '{', json, 400],
  ['no question', '{"options":["a"]}', json, 400],
  ['null', 'null', json, 400],
  ['a question that is no text', '{"question":7}', json, 400],
  ['invalid options', '{"question":"?","options":{"length":1}}', json, 400],
  ['an empty option', '{"question":"?","options":[" "]}', json, 400],
  ['too many options', JSON.stringify({ question: '?', options: Array(11).fill('a') }), json, 400],
  ['a long option', JSON.stringify({ question: '?', options: ['a'.repeat(101)] }), json, 400],
  ['a long question', 'a'.repeat(4001), {}, 413],
]) {
  test(`${name} is refused, and says why`, async () => {
    const { told, ask } = page()
    const response = await ask(content, headers)
    assert.equal(response.status, status)
    assert.ok((await response.text()).length > 20)
    assert.deepEqual(told, [])
  })
}

test('an asker who leaves is crossed out', async () => {
  const { told, questions, ask } = page()
  const leaving = new AbortController()
  const asking = ask('still there?', {}, { leaves: leaving.signal })
  await next(questions)
  leaving.abort()
  assert.equal((await asking).status, 410)
  assert.deepEqual(told.at(-1), ['left', 'still there?'])
})

test('a person may decline, and time may be over', async () => {
  const { questions, ask, pass, told } = page()
  const declined = ask('your password?')
  questions.end((await next(questions)).id, 'declined')
  assert.equal((await declined).status, 403)
  const late = ask('?')
  const question = await next(questions)
  pass(600_000)
  assert.deepEqual(questions.waiting(), [])
  assert.equal((await late).status, 504)
  assert.deepEqual(told.at(-1), ['expired', '?'])
  assert.equal(questions.end(question.id, 'answered', 'too late'), false)
})

test('who cannot wait comes back for the answer', async () => {
  const { questions, ask, send } = page()
  const accepted = await ask('{"question":"Ship it?"}', { ...json, Prefer: 'respond-async' })
  assert.equal(accepted.status, 202)
  const { url, status } = await accepted.json()
  assert.equal(status, 'waiting')
  assert.equal(accepted.headers.get('Location'), url)
  const path = new URL(url).pathname
  const waiting = await send(path, { headers: { Accept: 'application/json' } })
  assert.deepEqual([waiting.status, (await waiting.json()).status], [200, 'waiting'])
  assert.ok(waiting.headers.get('Retry-After'))
  const long = send(path, { headers: { Accept: 'application/json', Prefer: 'wait=60' } })
  questions.end((await next(questions)).id, 'answered', 'yes')
  const { status: is, answer } = await (await long).json()
  assert.deepEqual([is, answer], ['answered', 'yes'])
  assert.equal((await send('/questions/nobody')).status, 404)
  assert.equal((await send('/elsewhere')).status, 404)
  assert.equal((await send('/', { method: 'PUT', content: '?' })).status, 405)
})

test('an asker withdraws a question', async () => {
  const { questions, ask, send } = page()
  const { url } = await (await ask('"?"', { ...json, Prefer: 'respond-async' })).json()
  const path = new URL(url).pathname
  assert.equal((await send(path, { method: 'DELETE' })).status, 204)
  assert.deepEqual(questions.waiting(), [])
  assert.equal((await send(path)).status, 410)
})

test('askers have their share of the person', async () => {
  const { questions, ask } = page()
  const later = { headers: { Prefer: 'respond-async' } }
  const from = (host) => ask('?', later.headers, { from: `${host}:1` })
  for (let i = 0; i < mostOfOne; i++) assert.equal((await from('192.0.2.1')).status, 202)
  const refused = await from('192.0.2.1')
  assert.equal(refused.status, 429)
  assert.ok(refused.headers.get('Retry-After'))
  for (let i = 0; i < 200; i++) await from(`198.51.100.${i}`)
  assert.equal(questions.waiting().length, mostQuestions)
  questions.end(questions.waiting()[0].id, 'declined')
  assert.equal((await from('203.0.113.1')).status, 202)
})

test('a browser gets a form, and the answer as a page without script', async () => {
  const { questions, send, ask } = page()
  const html = { Accept: 'text/html,*/*' }
  const form = await send('/', { headers: html })
  assert.match(form.headers.get('Content-Security-Policy'), /default-src 'none'/)
  assert.match(await form.text(), /<form method="post"/)
  const asking = ask('question=<script>1</script>&from=x', {
    ...html,
    'Content-Type': 'application/x-www-form-urlencoded',
  })
  questions.end((await next(questions)).id, 'answered', '<b>"no"</b>')
  const page1 = await (await asking).text()
  assert.doesNotMatch(page1, /<script|<b>/)
  assert.match(page1, /&#60;b&#62;&#34;no&#34;/)
  assert.match(await (await send('/')).text(), /curl http/)
})

test('the reason for a missing answer is reported', async () => {
  for (const [reason, end, status] of [
    [new DOMException('visitor_gone', 'AbortError'), 'left', 410],
    [new DOMException('timed_out', 'TimeoutError'), 'expired', 504],
    [new DOMException('closed', 'AbortError'), 'lost', 503],
  ]) {
    const { told, questions, ask } = page()
    const leaving = new AbortController()
    const asking = ask('Are you there?', {}, { leaves: leaving.signal })
    await next(questions)
    leaving.abort(reason)
    assert.equal((await asking).status, status)
    assert.deepEqual(told.at(-1), [end, 'Are you there?'])
  }
})

test('a URL that is let go leaves no question waiting', async () => {
  const { questions, ask } = page()
  const asking = ask('Who waits?')
  await ask('And who comes back?', { Prefer: 'respond-async' })
  questions.close()
  assert.equal(questions.waiting().length, 0)
  const response = await asking
  assert.equal(response.status, 503)
  assert.match(await response.text(), /gave up this URL/)
})

test('nobody pushes out an answer that somebody comes back for', async () => {
  const { questions, send, ask, pass } = page()
  const later = { Prefer: 'respond-async' }
  const spam = async (i) => {
    pass(2_000)
    const { url } = await (await ask(`spam ${i}`, later)).json()
    await send(url, { method: 'DELETE' })
    return url
  }
  const { url } = await (await ask('Ship it?', later)).json()
  questions.end(questions.waiting()[0].id, 'answered', 'Yes')
  for (let i = 0; i < 300; i++) await spam(i)
  assert.equal(await (await send(url)).text(), 'Yes\n')
  const first = await spam(0)
  for (let i = 0; i < 300; i++) await spam(i)
  assert.equal((await send(first)).status, 404)
})

test('who asks and takes back again and again is refused in time', async () => {
  const { questions, send, ask, pass } = page()
  const asks = async (from) => {
    const response = await ask('?', { Prefer: 'respond-async' }, { from })
    if (response.status === 202) await send((await response.json()).url, { method: 'DELETE' })
    return response.status
  }
  for (let i = 0; i < mostInMinute; i++) assert.equal(await asks('192.0.2.1:5'), 202)
  assert.equal(await asks('192.0.2.1:5'), 429)
  assert.equal(await asks('192.0.2.2:5'), 202)
  pass(60_000)
  assert.equal(await asks('192.0.2.1:5'), 202)
  assert.deepEqual(questions.waiting(), [])
})

test('the addresses of one network of IPv6 have one share', async () => {
  const { ask } = page()
  const asked = async (from) => (await ask('?', { Prefer: 'respond-async' }, { from })).status
  for (let i = 1; i <= mostOfOne; i++) assert.equal(await asked(`[2001:db8:0:1::${i}]:5`), 202)
  assert.equal(await asked('[2001:db8:0:1:ffff:0:0:1]:5'), 429)
  assert.equal(await asked('[2001:db8:0:2::1]:5'), 202)
  assert.equal(await asked('[2001:db8::1]:5'), 202)
  assert.equal(await asked('[::1]:5'), 202)
})

test('the log keeps what a person said, whatever strangers ask and take back', () => {
  const entry = (end, text) => ({ text, who: 'w', end, answer: '', at: 1 })
  const said = [entry('answered', 'a'), entry('declined', 'd')]
  const spam = Array.from({ length: 500 }, (_, i) => entry('left', `${i}`))
  const kept = writeLog([...spam, ...said])
  assert.equal(kept.length, 100)
  assert.deepEqual(kept.slice(-2), said)
  assert.equal(kept[0].text, '0')
  const answers = Array.from({ length: 150 }, (_, i) => entry('answered', `${i}`))
  assert.deepEqual(writeLog(answers), answers.slice(0, 100))
})
