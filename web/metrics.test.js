import { test } from 'node:test'
import assert from 'node:assert/strict'
import { gauge, samplesOf } from './pages/metrics.js'

test('samples are read with their labels, and the rest is skipped', () => {
  const samples = samplesOf(`# HELP reversehttp_claims Claims that live.
# TYPE reversehttp_claims gauge
reversehttp_claims 3
reversehttp_exchanges_total{code="no_claim",outcome="failed"} 2
odd{label="a \\"b\\" {c}, d\\\\n\\n"} 1e+06
not a sample
`)
  assert.deepEqual(samples, [
    { name: 'reversehttp_claims', labels: {}, value: 3 },
    {
      name: 'reversehttp_exchanges_total',
      labels: { code: 'no_claim', outcome: 'failed' },
      value: 2,
    },
    { name: 'odd', labels: { label: 'a "b" {c}, d\\n\n' }, value: 1_000_000 },
  ])
  assert.equal(gauge(samples, 'reversehttp_claims'), 3)
  assert.equal(gauge(samples, 'reversehttp_sessions'), undefined)
})
