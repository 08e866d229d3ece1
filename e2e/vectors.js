// The cases of request.json and response.json, and functions that compare results with what the cases expect.
// schema/vectors/README.md, says what each member means.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { valuesOf } from './visitor.js'

/** All cases, each with the name of its file in front of its own. */
export function exchanges() {
  return ['request', 'response'].flatMap((file) => {
    const path = new URL(`../schema/vectors/${file}.json`, import.meta.url)
    const { cases } = JSON.parse(readFileSync(path, 'utf8'))
    return cases.map((c) => ({ ...c, name: `${file}/${c.name}` }))
  })
}

/** Returns the content of a message in a case. */
export function contentOf({ body, bodyBase64, bodyRepeat } = {}) {
  if (bodyRepeat) return Buffer.from(bodyRepeat.text.repeat(bodyRepeat.count))
  return bodyBase64 === undefined ? Buffer.from(body ?? '') : Buffer.from(bodyBase64, 'base64')
}

/** Returns the visitor's bytes of a case, with an additional field that names the case to the handler. */
export function bytesOf({ name, visitor }, vars) {
  const raw = Buffer.from(visitor.rawBase64 ?? visitor.raw, visitor.rawBase64 ? 'base64' : 'utf8')
  // latin1 keeps bytes as they are.
  const [, line, rest] = fill(raw.toString('latin1'), vars).match(/^(.*?\r?\n)(.*)$/s)
  const head = Buffer.from(`${line}Vector: ${name}\r\n${rest}`, 'latin1')
  return Buffer.concat([head, contentOf({ bodyRepeat: visitor.bodyRepeat })])
}

function fill(text, vars) {
  return text.replace(/\{(\w+)\}/g, (all, name) => vars[name] ?? all)
}

const members = ['method', 'target', 'url', 'base', 'httpVersion', 'remoteAddr', 'attempt']

/** Compares what a runtime showed of a request. It must show all members except those that it cannot know. */
export function checkRequest(want, got, vars, unknown = []) {
  for (const name of members.filter((m) => !unknown.includes(m))) {
    assert.notEqual(got[name], undefined, `${name} is not shown`)
    if (want[name] === undefined) continue
    const value = typeof want[name] === 'string' ? fill(want[name], vars) : want[name]
    assert.equal(got[name], value, name)
  }
  checkFields(want, got.headers, vars)
  checkContent(contentOf(want), contentOf(got))
}

/** Compares what the visitor received. */
export function checkReceived(want, got, vars) {
  assert.equal(got.status, want.status, `status; the content is ${got.content}`)
  checkFields(want, got.fields, vars)
  checkContent(contentOf(want), got.content)
}

function checkFields({ headers = [], absent = [] }, got, vars) {
  for (const name of absent) assert.deepEqual(valuesOf(got, name), [], `${name} must be absent`)
  for (const [name] of headers) {
    const values = valuesOf(got, name)
    const wanted = valuesOf(headers, name).map((v) => fill(v, vars))
    assert.deepEqual(
      values.map((v, i) => (wanted[i] === '*' ? '*' : v)),
      wanted,
      name,
    )
  }
}

function checkContent(want, got) {
  assert.ok(want.equals(got), `content is ${short(got)}, want ${short(want)}`)
}

function short(bytes) {
  return `${bytes.length} bytes ${JSON.stringify(bytes.subarray(0, 200).toString('latin1'))}`
}
