/**
 * Signs webhooks again. Receivers refuse signatures older than some minutes, so a replayed request
 * gets the current time and a new signature.
 */
import { toBase64 } from './content.js'
import { bytesOf, valuesOf } from './field.js'
import { hexOf } from './hex.js'
import { hmac, joined } from './hmac.js'
import { standardSecret } from './signature.js'

/** @typedef {'standard' | 'stripe' | 'slack' | 'github'} Scheme */
/** @typedef {readonly (readonly [string, string])[]} Headers */

/** @type {[Scheme, string][]} the field by which each is known */
const fields = [
  ['standard', 'webhook-signature'],
  ['standard', 'svix-signature'],
  ['stripe', 'stripe-signature'],
  ['slack', 'x-slack-signature'],
  ['github', 'x-hub-signature-256'],
]

/**
 * Returns the scheme by which a request is signed, or undefined if it has no known signature.
 * @param {Headers} headers
 */
export function schemeOf(headers) {
  return fields.find(([, name]) => valuesOf(headers, name).length)?.[0]
}

/**
 * Returns the fields with a new signature in place of the old one, or appended. The id of a
 * Standard Webhook stays, since it is the same event. Rejects, with a text for people, if the
 * secret is invalid for the scheme, or if the browser cannot sign.
 * @param {Scheme} scheme
 * @param {string} secret as the sender shows it: that of Standard Webhooks is whsec_ and base64
 * @param {Headers} headers
 * @param {Uint8Array} content
 * @param {number} now in milliseconds, by Date.now
 * @returns {Promise<[string, string][]>}
 */
export async function resign(scheme, secret, headers, content, now) {
  if (!secret) throw new Error('the secret is missing')
  if (!crypto.subtle) throw new Error('browsers have WebCrypto only on https and on localhost')
  const key = new TextEncoder().encode(secret)
  const at = String(Math.floor(now / 1000))
  switch (scheme) {
    case 'standard':
      return standard(secret, headers, content, at)
    case 'stripe': {
      const v1 = hexOf(await hmac(key, joined(bytesOf(`${at}.`), content)))
      return replaced(headers, [['Stripe-Signature', `t=${at},v1=${v1}`]])
    }
    case 'slack': {
      const v0 = hexOf(await hmac(key, joined(bytesOf(`v0:${at}:`), content)))
      return replaced(headers, [
        ['X-Slack-Request-Timestamp', at],
        ['X-Slack-Signature', `v0=${v0}`],
      ])
    }
    case 'github': {
      const signed = [['X-Hub-Signature-256', `sha256=${hexOf(await hmac(key, content))}`]]
      // GitHub also sends the older signature, and receivers check the one they know.
      if (valuesOf(headers, 'x-hub-signature').length) {
        signed.push(['X-Hub-Signature', `sha1=${hexOf(await hmac(key, content, 'SHA-1'))}`])
      }
      return replaced(headers, signed)
    }
  }
}

/**
 * @param {string} secret
 * @param {Headers} headers
 * @param {Uint8Array} content
 * @param {string} at
 */
async function standard(secret, headers, content, at) {
  const key = standardSecret(secret)
  if (!key) throw new Error('the secret is not whsec_ and base64, as Standard Webhooks have it')
  // Svix, which created the scheme, has field names of its own; a sender may use both.
  const prefixes = ['webhook', 'svix'].filter((p) => valuesOf(headers, `${p}-signature`).length)
  const signed = []
  for (const prefix of prefixes.length ? prefixes : ['webhook']) {
    const [id = `msg_${hexOf(crypto.getRandomValues(new Uint8Array(16)))}`] = valuesOf(
      headers,
      `${prefix}-id`,
    )
    const v1 = toBase64(await hmac(key, joined(bytesOf(`${id}.${at}.`), content)))
    signed.push(
      [`${prefix}-id`, id],
      [`${prefix}-timestamp`, at],
      [`${prefix}-signature`, `v1,${v1}`],
    )
  }
  return replaced(headers, signed)
}

/**
 * Replaces the first field of each name, removes others of that name, and appends new ones. Names
 * keep their spelling.
 * @param {Headers} headers
 * @param {string[][]} fresh
 * @returns {[string, string][]}
 */
function replaced(headers, fresh) {
  const values = new Map(fresh.map(([name, value]) => [name.toLowerCase(), value]))
  const placed = new Set()
  /** @type {[string, string][]} */
  const result = []
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (!placed.has(lower)) result.push([name, values.get(lower) ?? value])
    if (values.has(lower)) placed.add(lower)
  }
  for (const [name, value] of fresh) {
    if (!placed.has(name.toLowerCase())) result.push([name, value])
  }
  return result
}
