// Runs tests and counts them. A run that finds no test has failed.
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PassThrough } from 'node:stream'
import { raced, released, testsBuildReleased } from './build.js'
import { say, write } from './output.js'
import { root, start } from './run.js'

/**
 * Runs go test for packages, with the race detector unless that is said not to be; prints a line for each, and the
 * output of tests that fail.
 */
export async function goTests(packages, { race = true } = {}) {
  const count = { passed: 0, failed: 0, skipped: [] }
  const outputs = new Map()
  const lines = new PassThrough()
  const read = (async () => {
    for await (const line of createInterface(lines)) {
      if (line.startsWith('{')) take(JSON.parse(line), count, outputs)
      else say(line)
    }
  })()
  // Tests that run side by side mostly wait, so there may be more of them than processors.
  // A busy machine may take longer for a package than the 10 minutes that go test allows.
  // Some packages mostly wait as well. Those without the race detector run beside those with it.
  const args = [
    'test',
    ...(race ? [testsBuildReleased] : []),
    '-vet=off', // a step of its own vets all
    `-p=${race ? 3 : 2}`,
    '-parallel=8',
    '-timeout=30m',
    '-json',
    ...packages,
  ]
  const { code } = await start('go', args, {
    env: race ? raced : released,
    stdio: ['ignore', 'pipe', 'inherit'],
    onData: (chunk) => lines.write(chunk),
  })
  lines.end()
  await read
  return checked(count, code)
}

function take({ Action, Package, Test, Output, ImportPath, Elapsed, Key, Value }, count, outputs) {
  const name = `${Package ?? ImportPath} ${Test ?? ''}`.trim()
  switch (Action) {
    case 'output':
    case 'build-output':
      outputs.set(name, (outputs.get(name) ?? '') + Output)
      return
    case 'attr': // what a test wants to be seen though it passes
      say(`      ${Test} ${Key}: ${Value}`)
      return
    case 'pass':
      if (Test) count.passed++
      else say(`ok    ${name} ${Elapsed}s`)
      break
    case 'skip':
      if (Test) count.skipped.push(`${name}: ${reason(outputs.get(name))}`)
      break
    case 'fail':
    case 'build-fail':
      // A package fails because of its tests, or by itself: it panicked or does not build.
      if (Test || Action === 'build-fail') count.failed++
      say(`FAIL  ${name}`)
      write(outputs.get(name) ?? '')
      if (Package && !Test) tellOpen(Package, outputs)
      break
    default:
      return
  }
  outputs.delete(name)
}

/** Prints the output of the tests that were running when their package ended: that of a dump of goroutines, too. */
function tellOpen(name, outputs) {
  for (const [test, output] of outputs) {
    if (!test.startsWith(`${name} `)) continue
    say(`      ${test} had not ended`)
    write(output)
    outputs.delete(test)
  }
}

function reason(output = '') {
  const said = output.split('\n').filter((l) => l.startsWith('    '))
  return said.map((l) => l.trim()).join(' ')
}

/**
 * Runs the *.test.js files of a folder with node --test, three at a time, since each mostly waits for its own gateway and
 * browser.
 */
export async function nodeTests(folder) {
  const files = (await readdir(join(root, folder), { recursive: true }))
    .filter((f) => f.endsWith('.test.js') && !f.includes('node_modules'))
    .map((f) => join(folder, f))
    .sort()
  if (!files.length) throw new Error(`there is no *.test.js in ${folder}`)
  const dir = mkdtempSync(join(tmpdir(), 'reversehttp-tap-'))
  process.on('exit', () => rmSync(dir, { recursive: true }))
  const tap = join(dir, 'tap')
  const reporters = [
    ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
    ...['--test-reporter=tap', `--test-reporter-destination=${tap}`],
  ]
  const { code } = await start(
    process.execPath,
    ['--test', '--test-timeout=1800000', '--test-concurrency=3', ...reporters, ...files],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  return checked(countTap(await readFile(tap, 'utf8')), code)
}

function countTap(tap) {
  const number = (name) => Number(tap.match(new RegExp(`^# ${name} (\\d+)$`, 'm'))?.[1] ?? 0)
  const skipped = [...tap.matchAll(/^ *ok \d+ - (.*) # (?:SKIP|TODO) ?(.*)$/gm)]
  return {
    passed: number('pass'),
    failed: number('fail') + number('cancelled'),
    skipped: skipped.map(([, name, why]) => `${name}: ${why}`),
  }
}

function checked(count, code) {
  if (code !== 0 && !count.failed) count.failed = 1
  if (!count.passed && !count.failed) throw new Error('no test ran')
  return count
}
