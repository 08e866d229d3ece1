// The vectors through the real gateway, answered by the SDKs, in a page, and by the examples in schema.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { noBrowser, noFirefox, startBrowser, startFirefox } from './browser.js'
import { Gateway } from './gateway.js'
import { writeAnswers } from './runtimes/answers.js'
import { otherWays, runtimes } from './runtimes/runtime.js'
import { until } from './until.js'
import { bytesOf, checkReceived, checkRequest, contentOf, exchanges } from './vectors.js'
import { visitRaw } from './visitor.js'

const cases = exchanges()
// Values that HTTP messages cannot carry.
const unknown = { java: ['url', 'base', 'remoteAddr', 'attempt'] }

let gateway, answers
const browsers = {}

before(async () => {
  gateway = await Gateway.start()
  if (!noBrowser) browsers.chromium = await startBrowser()
  if (!noFirefox) browsers.firefox = await startFirefox()
  answers = await writeAnswers(cases.map((c) => [c.name, c.response ?? { status: 204 }]))
})

after(async () => {
  for (const browser of Object.values(browsers)) await browser.close()
  await gateway?.stop()
  await answers?.remove()
})

test('every runtime that a case names is known', () => {
  const known = ['gateway', ...Object.keys(runtimes)]
  for (const { name, via = [] } of cases) {
    for (const runtime of via) assert.ok(known.includes(runtime), `${name} names ${runtime}`)
  }
})

const ways = Object.entries(runtimes).map(([name, start]) => [name, name, start])
for (const [label, [name, start]] of Object.entries(otherWays)) ways.push([label, name, start])

for (const [label, name, start] of ways) {
  const skip = { chromium: noBrowser, firefox: noFirefox }[name]
  describe(`${label} answers every case`, { skip, concurrency: 8 }, () => {
    const seen = new Map()
    let runtime, host

    before(async () => {
      const report = (request) => {
        const vector = request.headers.find((f) => f[0] === 'Vector')[1]
        seen.set(vector, [...(seen.get(vector) ?? []), request])
      }
      const origin = gateway.url.slice(0, -1)
      runtime = await start(origin, label, answers, report, browsers[name])
      host = `${label}.localhost:${gateway.port}`
    })
    after(() => runtime?.stop())

    for (const c of cases.filter(({ via }) => !via || via.includes(name))) {
      test(c.name, async () => {
        const vars = { host, label, visitor: '127.0.0.1' }
        const received = await visitRaw(gateway.port, bytesOf(c, vars))
        await until(() => seen.has(c.name), `the report of ${c.name}`)
        const [request, ...more] = seen.get(c.name)
        checkRequest(c.request, request, vars, unknown[name])
        if (request.request) checkStandardRequest(request)
        checkReceived(c.received, received, vars)
        assert.deepEqual(more, [], 'the handler ran again')
      })
    }
  })
}

/** Compares the Request that a JavaScript handler got with the SDK's info. */
function checkStandardRequest({ request, method, url, headers, ...rest }) {
  assert.equal(request.method, method, 'request.method')
  assert.equal(new URL(request.url).href, request.url, 'request.url')
  assert.equal(new URL(request.url).origin, new URL(url).origin, 'request.url')
  for (const [name, value] of request.headers) {
    const values = headers.filter((f) => f[0].toLowerCase() === name).map((f) => f[1])
    // Cookies are joined with a semicolon (RFC 6265, 5.4).
    assert.ok(
      [', ', '; '].some((by) => values.join(by) === value),
      `request.headers ${name} = ${value}`,
    )
  }
  const want = /^(get|head)$/i.test(method) ? Buffer.alloc(0) : contentOf(rest)
  assert.ok(contentOf(request).equals(want), 'the content of the Request')
}
