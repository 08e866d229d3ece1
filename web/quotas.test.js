import { test } from 'node:test'
import assert from 'node:assert/strict'
import { samplesOf } from './pages/metrics.js'
import { quotaRows } from './pages/quotas.js'

test('quotas that are nearly used up come first, and what nobody uses is left out', () => {
  const rows = quotaRows(
    samplesOf(`reversehttp_quota_used{account="bob",quota="claims"} 2
reversehttp_quota_used{account="bob",quota="sessions"} 0
reversehttp_quota_used{account="ann",quota="responseBytesPerDay"} 943718400
reversehttp_quota_used{account="ann",quota="claims"} 0
reversehttp_quota_limit{account="ann",quota="responseBytesPerDay"} 1073741824
reversehttp_quota_limit{account="ann",quota="claims"} 20
reversehttp_quota_refusals_total{of="account",quota="claims"} 3
`),
  )
  assert.deepEqual(rows, [
    {
      account: 'ann',
      quota: 'responseBytesPerDay',
      used: '900 MiB',
      limit: '1 GiB',
      share: '87 %',
    },
    { account: 'ann', quota: 'claims', used: '0', limit: '20', share: '0 %' },
    { account: 'bob', quota: 'claims', used: '2', limit: '–', share: '–' },
  ])
  assert.deepEqual(quotaRows([]), [])
})
