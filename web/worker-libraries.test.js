// What the code of the playground imports comes with it as text.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { templates } from './pages/templates.js'
import { asScript, libraries, withoutImports } from './pages/worker-libraries.js'

test('imports become constants, line for line', () => {
  const { text, names } = withoutImports(`// one
import { Hono } from 'hono'
import {
  McpServer as Server,
  createMcpHandler,
} from "@modelcontextprotocol/server";
const text = "import { Hono } from 'elsewhere'"
`)
  const lines = text.split('\n')
  assert.equal(lines[1], 'const { Hono } = playgroundLibraries["hono"]')
  assert.match(lines[2], /^const \{ {3}McpServer : Server, {3}createMcpHandler, \} = /)
  assert.equal(lines[6], `const text = "import { Hono } from 'elsewhere'"`)
  assert.deepEqual(names, ['hono', '@modelcontextprotocol/server'])
})

test('a package that the page has not is an error', () => {
  for (const name of ['express', 'toString', '/sdk.js']) {
    assert.throws(() => withoutImports(`import { a } from '${name}'`), /this page has no /)
  }
})

test('what a template imports is in its library', () => {
  for (const [of, { code }] of Object.entries(templates)) {
    const { text, names } = withoutImports(code)
    const scope = { URL, Headers, Request, Response, TextEncoder, TextDecoder, AbortController }
    const self = { ...scope, location: new URL('http://localhost/'), served: 0 }
    Object.assign(self, { self, serve: () => self.served++ })
    for (const name of names) {
      const source = readFileSync(new URL(`.${libraries[name]}`, import.meta.url), 'utf8')
      runInNewContext(asScript(name, source), self)
    }
    runInNewContext(`'use strict';${text}`, self)
    assert.equal(self.served, 1, of)
  }
})
