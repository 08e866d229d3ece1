/** HMACs by Web Crypto, which browsers have only on https and on localhost. */

/**
 * Returns the HMAC of content.
 * @param {Uint8Array} secret
 * @param {Uint8Array} content
 * @param {'SHA-256' | 'SHA-1'} [hash]
 */
export async function hmac(secret, content, hash = 'SHA-256') {
  const key = await keyOf(secret, hash, 'sign')
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, new Uint8Array(content)))
}

/**
 * Reports whether a signature is the HMAC of content, in constant time.
 * @param {Uint8Array} secret
 * @param {Uint8Array} signature
 * @param {Uint8Array} content
 * @param {string} [hash]
 */
export async function verify(secret, signature, content, hash = 'SHA-256') {
  const key = await keyOf(secret, hash, 'verify')
  return crypto.subtle.verify('HMAC', key, new Uint8Array(signature), new Uint8Array(content))
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function joined(a, b) {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

/**
 * @param {Uint8Array} secret
 * @param {string} hash
 * @param {KeyUsage} usage
 */
function keyOf(secret, hash, usage) {
  return crypto.subtle.importKey('raw', new Uint8Array(secret), { name: 'HMAC', hash }, false, [
    usage,
  ])
}
