import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

// It is not part of the public module, so the test compiles it.
const dir = await mkdtemp(join(tmpdir(), 'reversehttp-backoff-'))
after(() => rm(dir, { recursive: true }))
const path = (name) => fileURLToPath(new URL(name, import.meta.url))
const flags = ['--emitDeclarationOnly', 'false', '--outDir', dir]
execFileSync(path('../../node_modules/.bin/tsc'), ['-p', path('..'), ...flags])
await writeFile(join(dir, 'package.json'), '{"type":"module"}')
const { Backoff, retryAfterMs } = await import(join(dir, 'backoff.js'))

/** A backoff whose jitter is a fixed fraction of the bound. */
function backoffOf(t, part) {
  t.mock.method(Math, 'random', () => part)
  return new Backoff()
}

test('the bound doubles from 0.2 s to 30 s, and is 0.2 s again after a success', (t) => {
  const backoff = backoffOf(t, 1)
  const bounds = Array.from({ length: 10 }, () => backoff.next())
  assert.deepEqual(bounds, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000])
  backoff.reset()
  assert.equal(backoff.next(), 200)
})

test('the wait is a random time up to the bound', (t) => {
  const waits = Array.from({ length: 1000 }, () => new Backoff().next())
  assert.ok(waits.every((ms) => ms >= 0 && ms < 200))
  assert.ok(Math.max(...waits) - Math.min(...waits) > 150, 'full jitter')
  assert.equal(backoffOf(t, 0).next(), 0)
  assert.equal(backoffOf(t, 0.5).next(), 100)
})

test('the wait is at least what the gateway asks for, up to an hour', (t) => {
  assert.equal(backoffOf(t, 0).next(5000), 5000)
  assert.equal(backoffOf(t, 1).next(5000), 5200)
  assert.equal(backoffOf(t, 0).next(1e12), 3_600_000)
})

test('Retry-After is seconds or a date', (t) => {
  const nowMs = Date.parse('Wed, 21 Oct 2026 07:28:00 GMT')
  t.mock.method(Date, 'now', () => nowMs)
  for (const [value, want] of [
    ['2', 2000],
    ['0', 0],
    ['Wed, 21 Oct 2026 07:28:03 GMT', 3000],
    ['Wed, 21 Oct 2026 07:00:00 GMT', 0],
    ['soon', 0],
    ['-5', 0],
    ['', 0],
    [null, 0],
  ]) {
    assert.equal(retryAfterMs(value), want, `${value}`)
  }
})
