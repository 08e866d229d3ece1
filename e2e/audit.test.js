// The steps of npm test that look for known vulnerabilities, with servers that report some, report none, and
// cannot be reached.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { auditGo, auditNPM } from './steps/audit.js'
import { KeptOutput } from './steps/output.js'

// A vulnerability of a function that server/audit calls, a package with few imports, so the analysis is quick.
const entry = {
  schema_version: '1.3.1',
  id: 'GO-2000-0001',
  modified: '2026-01-01T00:00:00Z',
  published: '2026-01-01T00:00:00Z',
  details: 'a vulnerability that a test made',
  affected: [
    {
      package: { name: 'stdlib', ecosystem: 'Go' },
      ranges: [{ type: 'SEMVER', events: [{ introduced: '0' }] }],
      ecosystem_specific: { imports: [{ path: 'fmt', symbols: ['Errorf'] }] },
    },
  ],
  database_specific: { url: 'https://pkg.go.dev/vuln/GO-2000-0001' },
}

const advisory = {
  id: 1,
  url: 'https://example.org/1',
  title: 'a vulnerability that a test made',
  severity: 'high',
  vulnerable_versions: '*',
  cwe: [],
  cvss: { score: 0 },
}

describe('vulnerabilities', () => {
  const told = {
    GOVULNDB: process.env.GOVULNDB,
    npm_config_registry: process.env.npm_config_registry,
  }
  let server, url
  let known
  let silent

  before(async () => {
    server = createServer((request, response) => {
      if (silent) return
      if (request.url.endsWith('/advisories/bulk')) {
        request.resume()
        return response.end(JSON.stringify(known ? { prettier: [advisory] } : {}))
      }
      const modules = known
        ? [{ path: 'stdlib', vulns: [{ id: entry.id, modified: entry.modified }] }]
        : []
      const files = {
        '/index/modules.json.gz': modules,
        '/index/db.json.gz': { modified: entry.modified },
        [`/ID/${entry.id}.json.gz`]: entry,
      }
      const file = files[request.url]
      if (!file) response.statusCode = 404
      response.end(file && gzipSync(JSON.stringify(file)))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${server.address().port}`
    process.env.GOVULNDB = process.env.npm_config_registry = url
  })
  after(() => {
    for (const [name, value] of Object.entries(told)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    server.closeAllConnections()
    server.close()
  })

  const quiet = (step) => new KeptOutput().keep(step)
  const audits = [
    ['Go', (mostMs) => auditGo(['./server/audit'], mostMs), /exit code 3/],
    ['npm', auditNPM, /there are vulnerabilities/],
  ]
  for (const [name, audit, failure] of audits) {
    test(`${name}: a known vulnerability is a failure`, async () => {
      ;[known, silent] = [true, false]
      await assert.rejects(
        quiet(() => audit()),
        failure,
      )
    })
    test(`${name}: no known vulnerability passes, and was checked`, async () => {
      ;[known, silent] = [false, false]
      assert.equal(await quiet(() => audit()), undefined)
    })
    test(`${name}: a source that does not answer in time is reported as not asked`, async () => {
      ;[known, silent] = [true, true]
      await saysSo(() => audit(1))
    })
    test(`${name}: a source that cannot be reached is reported as not asked`, async () => {
      process.env.GOVULNDB = process.env.npm_config_registry = 'http://127.0.0.1:1'
      await saysSo(() => audit())
      process.env.GOVULNDB = process.env.npm_config_registry = url
    })
  }

  async function saysSo(audit) {
    const { passed, unchecked } = await quiet(audit)
    assert.equal(passed, 0)
    assert.equal(unchecked.length, 1)
    assert.match(unchecked[0], /^NOT CHECKED for vulnerabilities: the .+: ./)
  }
})
