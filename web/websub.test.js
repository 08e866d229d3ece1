// A subscriber of WebSub: what it confirms, which content it takes, and what it reads of feeds.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { XMLParser } from 'fast-xml-parser'
import { namedBy, readFeed } from './pages/feed.js'
import { asking, mostSubscriptions, Subscriptions } from './pages/subscriptions.js'

const base = 'http://ann.localhost:8080/'
const topic = 'https://blog.example/feed'
const bytes = (text) => new TextEncoder().encode(text)

function subscriber() {
  const pushes = []
  const all = new Subscriptions(
    () => {},
    (push) => pushes.push(push),
    () => 1_000,
  )
  const one = all.add(topic, 'https://hub.example/', base)
  const send = async (url, { method = 'GET', headers = {}, content = '' } = {}) => {
    const init = { method, headers, ...(content && { body: content }) }
    return all.handle(new Request(url, init), { method, content: bytes(content) })
  }
  const confirm = (query) =>
    send(
      `${one.callback}?${new URLSearchParams({ 'hub.topic': topic, 'hub.challenge': 'c', ...query })}`,
    )
  const push = (content, signature) => {
    const headers = {
      'Content-Type': 'text/plain',
      ...(signature && { 'X-Hub-Signature': signature }),
    }
    return send(one.callback, { method: 'POST', content, headers })
  }
  return { all, one, pushes, send, confirm, push }
}

test('a hub is asked with a callback and a secret that nobody guesses', () => {
  const { one, all } = subscriber()
  const { 'hub.secret': secret, ...rest } = Object.fromEntries(asking(one, 'subscribe'))
  assert.deepEqual(rest, {
    'hub.mode': 'subscribe',
    'hub.topic': topic,
    'hub.callback': one.callback,
    'hub.lease_seconds': '86400',
  })
  assert.match(secret, /^[0-9a-f]{32}$/)
  assert.match(one.callback, /^http:\/\/ann\.localhost:8080\/sub\/[0-9a-f]{32}$/)
  assert.notEqual(one.callback, all.add(topic, 'https://hub.example/', base).callback)
  assert.equal(asking(one, 'unsubscribe').has('hub.secret'), false)
})

test('intent is confirmed for what was asked, and for nothing else', async () => {
  const { one, confirm, send } = subscriber()
  for (const query of [
    { 'hub.mode': 'unsubscribe' },
    { 'hub.mode': 'subscribe', 'hub.topic': 'https://other.example/' },
    { 'hub.mode': 'subscribe', 'hub.challenge': '' },
    { 'hub.mode': 'subscribe', 'hub.challenge': 'c'.repeat(5_000) },
    {},
  ]) {
    assert.equal((await confirm(query)).status, 404, JSON.stringify(query))
  }
  assert.equal(one.state, 'asked')
  const right = await confirm({ 'hub.mode': 'subscribe', 'hub.lease_seconds': '60' })
  assert.equal(right.status, 200)
  assert.equal(await right.text(), 'c')
  assert.equal(one.state, 'active')
  assert.equal(one.endsAt, 61_000)
  assert.equal((await send(`${base}sub/${'0'.repeat(32)}`)).status, 404)
  assert.equal((await send(one.callback, { method: 'PUT' })).status, 405)
})

test('a subscription ends when its end was asked for', async () => {
  const { all, one, confirm } = subscriber()
  await confirm({ 'hub.mode': 'subscribe' })
  all.leave(one.id)
  assert.equal((await confirm({ 'hub.mode': 'subscribe' })).status, 404)
  assert.equal(await (await confirm({ 'hub.mode': 'unsubscribe' })).text(), 'c')
  assert.deepEqual(all.all, [])
})

test('a hub that denies is believed', async () => {
  const { one, confirm, push } = subscriber()
  assert.equal((await confirm({ 'hub.mode': 'denied', 'hub.reason': 'r'.repeat(999) })).status, 200)
  assert.equal(one.state, 'denied')
  assert.equal(one.reason.length, 300)
  assert.equal((await push('x')).status, 404)
})

test('only content that is signed is taken, by each method of the standard', async () => {
  const { one, pushes, confirm, push } = subscriber()
  const sign = (method, secret = one.secret) =>
    `${method}=${createHmac(method, secret).update('é\r\n').digest('hex')}`
  assert.equal((await push('é\r\n', sign('sha256'))).status, 404, 'the hub is not sure yet')
  await confirm({ 'hub.mode': 'subscribe' })
  const methods = ['sha1', 'sha256', 'sha384', 'sha512']
  for (const method of methods) assert.equal((await push('é\r\n', sign(method))).status, 204)
  assert.deepEqual(
    pushes.map(({ signature, content }) => [signature, new TextDecoder().decode(content)]),
    methods.map(() => ['valid', 'é\r\n']),
  )
  pushes.length = 0
  const digits = sign('sha256').slice(7)
  for (const wrong of [
    sign('sha256', 'other'),
    'sha256=',
    `md5=${digits}`,
    digits,
    `sha512=${digits}`,
    undefined,
  ]) {
    assert.equal((await push('é\r\n', wrong)).status, 204, `${wrong}`)
  }
  assert.deepEqual(
    pushes.map(({ signature, content }) => [signature, content.length]),
    [...Array(5).fill(['invalid', 0]), ['unsigned', 0]],
  )
})

test('there are so many subscriptions, and those of another URL are not taken up', () => {
  const { all } = subscriber()
  for (let i = 0; i < 30; i++) all.add(topic, 'https://hub.example/', base)
  assert.equal(all.all.length, mostSubscriptions)
  const again = subscriber().all
  again.restore(all.all.slice(0, 2), base)
  again.restore(all.all, 'http://other.localhost:8080/')
  assert.equal(again.all.length, 3)
})

test('Atom, RSS, RDF and JSON Feed have titles and links', () => {
  const read = (text) => readFeed(bytes(text), XMLParser)
  const one = { title: 'a & <b>', link: 'https://blog.example/1' }
  const atom = `<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Blog</title>
    <entry><title type="html">a &amp; &lt;b&gt;</title><link rel="edit" href="https://x.example/"/><link href="https://blog.example/1"/></entry></feed>`
  const rss = `<rss><channel><title>Blog</title><link>https://blog.example/</link>
    <item><title><![CDATA[a & <b>]]></title><link>https://blog.example/1</link></item></channel></rss>`
  const rdf = `<rdf:RDF xmlns:rdf="x"><channel><title>Blog</title></channel><item><title>a &amp; &lt;b&gt;</title><link>https://blog.example/1</link></item></rdf:RDF>`
  const json = JSON.stringify({
    title: 'Blog',
    items: [{ title: 'a & <b>', url: 'https://blog.example/1' }],
  })
  for (const text of [atom, rss, rdf, json]) {
    assert.deepEqual(read(text), { title: 'Blog', entries: [one] }, text)
  }
  const script = '<feed><entry><title>x</title><link href="javascript:alert(1)"/></entry></feed>'
  assert.deepEqual(read(script), { title: '', entries: [{ title: 'x', link: '' }] })
})

test('what is no feed, is too large or bursts is not read', () => {
  const read = (text) => readFeed(bytes(text), XMLParser)
  const large = `<feed><title>${'a'.repeat(600_000)}</title></feed>`
  const bomb = `<!DOCTYPE x [<!ENTITY a "${'a'.repeat(5_000)}">${[...'bcdefg'].map((c, i) => `<!ENTITY ${c} "${`&${'abcdef'[i]};`.repeat(50)}">`).join('')}]><feed><title>&g;</title></feed>`
  for (const text of ['', 'hello', '{"a":1}', '<html></html>', '{', large]) {
    assert.equal(read(text), undefined, text.slice(0, 20))
  }
  assert.ok((read(bomb)?.title ?? '').length <= 300)
})

test('a feed names its hub in a field or in its content', () => {
  const at = 'https://blog.example/feed'
  const hub = 'https://hub.example/?a=1&b=2'
  assert.deepEqual(namedBy(`<${hub}>; rel="hub", </self>; rel=self`, '', at), {
    hub,
    topic: 'https://blog.example/self',
  })
  const elements = `<link rel="stylesheet" href="/x"><atom:link href='https://hub.example/?a=1&amp;b=2' rel="hub"/>`
  assert.deepEqual(namedBy(null, elements, at), { hub, topic: at })
  for (const none of ['<javascript:alert(1)>; rel=hub', '<x>; rel=next', '<']) {
    assert.deepEqual(namedBy(none, '', at), { hub: undefined, topic: at })
  }
  // An element ends before the next begins, or a text of beginnings would be read again from each.
  const open = '<link rel="hub" href="https://hub.example/" <p>'
  assert.deepEqual(namedBy('<a <https://b.example/>; rel=next', open, at).hub, undefined)
})
