// The sources import each other in one direction, types included.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const src = new URL('../src/', import.meta.url)
const sources = new Map(
  readdirSync(src).map((name) => [name, readFileSync(new URL(name, src), 'utf8')]),
)

/** The sources that each source imports: statically, dynamically, or for types. */
const imports = new Map(
  [...sources].map(([name, text]) => [
    name,
    [...text.matchAll(/\b(?:from|import)\s*\(?\s*'\.\/([\w-]+)\.js'/g)].map(([, to]) => `${to}.ts`),
  ]),
)

test('every path of a source is an import of a source', () => {
  for (const [name, text] of sources) {
    const paths = [...text.matchAll(/['"`]\.{1,2}\/[^'"`]*/g)]
    assert.equal(imports.get(name).length, paths.length, `${name} has ${paths}`)
    for (const to of imports.get(name)) assert.ok(sources.has(to), `${name} imports ${to}`)
  }
})

test('there are no import cycles', () => {
  const circles = []
  const done = new Set()
  const visit = (name, way) => {
    if (way.includes(name)) return circles.push([...way.slice(way.indexOf(name)), name].join(' → '))
    if (done.has(name)) return
    for (const to of imports.get(name)) visit(to, [...way, name])
    done.add(name)
  }
  for (const name of imports.keys()) visit(name, [])
  assert.deepEqual(circles, [])
})
