// The bills of materials of the README: JSON that names the components of programs and packages.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { gatewayBinary } from './gateway.js'
import { root } from './steps/run.js'

const output = (command, ...args) =>
  execFileSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 })

/** The components in a bill, by package URL. */
function named(bill) {
  const { bomFormat, specVersion, components } = JSON.parse(bill)
  assert.equal(bomFormat, 'CycloneDX')
  assert.match(specVersion, /^1\.\d$/)
  return components.map((c) => c.purl).filter(Boolean)
}

test('a bill of the gateway names its modules and Go, and no tools', () => {
  const binary = gatewayBinary()
  const bill = output('go', 'run', './e2e/sbom', binary)
  const linked = output('go', 'version', '-m', binary)
  const modules = [...linked.matchAll(/^\tdep\t(\S+)\t(\S+)/gm)].map(
    ([, m, v]) => `pkg:golang/${m}@${v}`,
  )
  const go = linked.match(/: go(\S+)/)[1]
  assert.ok(modules.some((m) => m.startsWith('pkg:golang/github.com/go-chi/chi/v5@')))
  assert.deepEqual(named(bill), [...modules, `pkg:golang/stdlib@v${go}`].sort())
  assert.ok(!bill.includes('honnef.co'))
  const { dependencies } = JSON.parse(bill)
  assert.deepEqual(
    dependencies.map(({ ref, dependsOn }) => [ref, dependsOn.length]),
    [[`program:${basename(binary)}`, modules.length + 1]],
  )
})

test('a bill of the npm packages names all packages of the lock file', () => {
  const bill = output('npm', 'sbom', '--sbom-format', 'cyclonedx', '--package-lock-only')
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const names = named(bill)
  assert.ok(names.some((n) => n.startsWith('pkg:npm/prettier@')))
  for (const [at, { version, link }] of Object.entries(packages)) {
    const name = at.split('node_modules/').at(-1)
    if (!at.includes('node_modules/') || link) continue
    const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
    assert.ok(names.includes(purl), purl)
  }
})
