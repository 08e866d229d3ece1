/**
 * Checks the signatures of webhooks against the exact bytes of their content. A result is valid,
 * invalid, not signed or not checked, with the reason.
 */
import { fromBase64 } from './content.js'
import { bytesOf, valuesOf } from './field.js'
import { joined, verify } from './hmac.js'

/** The most that the timestamp of a Standard Webhook may differ from its receipt, in seconds. */
export const toleranceSeconds = 300
// Senders sign with two secrets during a rotation, not with hundreds.
const mostSignatures = 16

/**
 * @typedef {object} Received
 * @property {readonly (readonly [string, string])[]} headers
 * @property {Uint8Array} content
 * @property {number} receivedMs when it arrived, by Date.now
 */

/**
 * Runs every check.
 * @param {Received} received
 * @param {string} secret
 */
export async function checkSignatures(received, secret) {
  const checks = [
    { scheme: 'GitHub', check: checkGitHub },
    { scheme: 'Standard Webhooks', check: checkStandard },
  ]
  return Promise.all(
    checks.map(async ({ scheme, check }) => ({ scheme, ...(await check(received, secret)) })),
  )
}

/**
 * GitHub: X-Hub-Signature-256 is sha256= and the HMAC of the content in hex.
 * @param {Received} received
 * @param {string} secret
 */
export async function checkGitHub({ headers, content }, secret) {
  const values = valuesOf(headers, 'x-hub-signature-256')
  if (!values.length) return verdict('not signed', 'no X-Hub-Signature-256')
  if (values.length > 1) return verdict('invalid', 'more than one X-Hub-Signature-256')
  const signature = /^sha256=([0-9a-f]{64})$/i.exec(values[0])?.[1]
  if (!signature) return verdict('invalid', 'X-Hub-Signature-256 is not sha256= and 64 hex digits')
  if (!secret) return verdict('not checked', 'signed; give the secret to check it')
  const bytes = Uint8Array.from(signature.match(/../g) ?? [], (pair) => parseInt(pair, 16))
  if (!crypto.subtle) return cannot
  return (await verify(new TextEncoder().encode(secret), bytes, content))
    ? verdict('valid', 'the HMAC of the content matches')
    : verdict('invalid', 'the HMAC of the content does not match: another secret or other content')
}

/**
 * Standard Webhooks: webhook-signature is a list of v1, and the HMAC of id.timestamp.content in base64.
 * @param {Received} received
 * @param {string} secret whsec_ and base64
 */
export async function checkStandard({ headers, content, receivedMs }, secret) {
  const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature']
  const values = names.map((name) => valuesOf(headers, name))
  if (values.every((v) => !v.length)) return verdict('not signed', 'no webhook-signature')
  const odd = values.findIndex((v) => v.length !== 1)
  if (odd >= 0) {
    return verdict('invalid', `${names[odd]} is ${values[odd].length ? 'repeated' : 'missing'}`)
  }
  const [[id], [timestamp], [signatures]] = values
  if (!/^\d{1,12}$/.test(timestamp)) {
    return verdict('invalid', 'webhook-timestamp is not a number of seconds')
  }
  if (!secret) return verdict('not checked', 'signed; give the secret to check it')
  const raw = standardSecret(secret)
  if (!raw) {
    return verdict('not checked', 'the secret is not whsec_ and base64, as this scheme has it')
  }
  if (!crypto.subtle) return cannot
  const signed = joined(bytesOf(`${id}.${timestamp}.`), content)
  let matches = false
  for (const signature of signatures.split(' ').slice(0, mostSignatures)) {
    const bytes = signature.startsWith('v1,') && decoded(signature.slice(3))
    matches = (bytes && (await verify(raw, bytes, signed))) || matches
  }
  if (!matches)
    return verdict('invalid', 'no v1 signature matches: another secret or other content')
  const age = Math.round(receivedMs / 1000) - Number(timestamp)
  const when = `sent ${Math.abs(age)} s ${age < 0 ? 'after' : 'before'} it came, tolerance ${toleranceSeconds} s`
  return Math.abs(age) > toleranceSeconds
    ? verdict('invalid', `the signature matches, but its time is off: ${when}`)
    : verdict('valid', `a signature matches; ${when}`)
}

/**
 * Returns the bytes of a Standard Webhooks secret, or undefined if it is invalid.
 * @param {string} secret whsec_ and base64
 */
export function standardSecret(secret) {
  const raw = decoded(secret.replace(/^whsec_/, ''))
  return raw?.length ? raw : undefined
}

/**
 * @param {'valid' | 'invalid' | 'not signed' | 'not checked'} is
 * @param {string} why
 */
function verdict(is, why) {
  return { is, why }
}

const cannot = verdict('not checked', 'browsers have WebCrypto only on https and on localhost')

/** @param {string} text */
function decoded(text) {
  try {
    return fromBase64(text)
  } catch {
    return undefined
  }
}
