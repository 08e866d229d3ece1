/** The usage of accounts' quotas, from the metrics of a gateway. */
import { bytesInWords } from './content.js'

/**
 * @typedef {object} Row
 * @property {string} account
 * @property {string} quota
 * @property {string} used
 * @property {string} limit
 * @property {string} share
 */

/**
 * Returns the rows of a table, the most used quotas first, without those that are unused and unlimited.
 * @param {import('./metrics.js').Sample[]} samples
 * @returns {Row[]}
 */
export function quotaRows(samples) {
  const limits = new Map(
    of(samples, 'reversehttp_quota_limit').map(({ labels, value }) => [keyOf(labels), value]),
  )
  return of(samples, 'reversehttp_quota_used')
    .map(({ labels, value }) => ({ labels, value, limit: limits.get(keyOf(labels)) }))
    .filter(({ value, limit }) => limit || value)
    .sort(
      (a, b) =>
        shareOf(b) - shareOf(a) ||
        a.labels.account.localeCompare(b.labels.account) ||
        a.labels.quota.localeCompare(b.labels.quota),
    )
    .map((row) => ({
      account: row.labels.account,
      quota: row.labels.quota,
      used: amount(row.labels.quota, row.value),
      limit: row.limit ? amount(row.labels.quota, row.limit) : '–',
      share: row.limit ? `${Math.floor(shareOf(row) * 100)} %` : '–',
    }))
}

/** @param {{value: number, limit?: number}} row */
const shareOf = ({ value, limit }) => (limit ? value / limit : -1)

/** @param {Record<string, string>} labels */
const keyOf = ({ account, quota }) => `${account} ${quota}`

/**
 * @param {import('./metrics.js').Sample[]} samples
 * @param {string} name
 */
const of = (samples, name) => samples.filter((s) => s.name === name)

/**
 * @param {string} quota
 * @param {number} n
 */
const amount = (quota, n) => (quota.includes('Bytes') ? bytesInWords(n) : n.toLocaleString('en'))
