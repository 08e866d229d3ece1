/** Masks secrets: values that look like secrets, or are named like one. */

/** Replaces a hidden value. */
export const masked = '[masked]'

// Anywhere in a name, in any case and with any separator: X-Api-Key, apiKey, api_key.
const telling =
  /token|secret|passw|passphrase|signature|session|sessid|credential|apikey|privatekey|accesskey|signingkey|encryptionkey|authorization|cookie|saml/
// As a whole word of a name. Within other words they mean nothing: author, bypass, signal.
const words = new Set(['auth', 'jwt', 'otp', 'pass', 'pin', 'pwd', 'sid', 'sig', 'hmac', 'bearer'])
// As the whole name, which some services use in queries.
const names = new Set(['key', 'x-key'])
// Schemes of Authorization. An unknown word in their place may be the secret itself.
const schemes =
  /^(?:AWS4-HMAC-SHA256|ApiKey|Basic|Bearer|Concealed|DPoP|Digest|GNAP|HOBA|Hawk|Key|Mutual|NTLM|Negotiate|OAuth|PrivateToken|SCRAM-SHA-(?:1|256)|Signature|Token|vapid)(?= )/i
// Fields whose values are URLs, which may have secrets in their query.
const urls = /^(?:referer|location|content-location|x-(?:forwarded|original)-ur[il])$/
const mostName = 256

/**
 * Reports whether a field or a query parameter is likely to hold a secret.
 * @param {string} name
 */
export function isSecret(name) {
  const cut = name.slice(0, mostName)
  if (names.has(cut.toLowerCase()) || telling.test(cut.toLowerCase().replace(/[^a-z0-9]/g, ''))) {
    return true
  }
  const split = cut.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase()
  return split.split(/[^a-z0-9]+/).some((word) => words.has(word))
}

/**
 * Returns the value of a field with secrets masked. Authorization keeps its scheme, cookies keep their
 * names and attributes.
 * @param {string} name
 * @param {string} value
 */
export function maskValue(name, value) {
  const lower = name.toLowerCase()
  if (lower === 'cookie') return value.split(';').map(maskCookie).join(';')
  if (lower === 'set-cookie') {
    const [cookie, ...attributes] = value.split(';')
    return [maskCookie(cookie), ...attributes].join(';')
  }
  if (urls.test(lower)) return maskTarget(value)
  if (!value || !isSecret(name)) return value
  const scheme = /authorization$/.test(lower) ? schemes.exec(value)?.[0] : undefined
  return scheme ? `${scheme} ${masked}` : masked
}

/**
 * Returns a target or a URL with the values of parameters that are named like secrets masked, and a
 * password in its authority. The rest is unchanged.
 * @param {string} target
 */
export function maskTarget(target) {
  const [, before, query, fragment] = /^([^?#]*)(\?[^#]*)?(.*)$/s.exec(target) ?? []
  const where = before.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, `$1${masked}@`)
  return where + maskPairs(query ?? '') + maskPairs(fragment)
}

/**
 * @param {string} pairs of a query, or of a fragment as OAuth has it, with the character before
 */
function maskPairs(pairs) {
  return pairs.replace(/([?#&;])([^=&;?#]*)=([^&;]+)/g, (pair, before, name) =>
    isSecret(decoded(name)) ? `${before}${name}=${masked}` : pair,
  )
}

/** @param {string} cookie */
function maskCookie(cookie) {
  const at = cookie.indexOf('=')
  // Without a name all of it is the value.
  if (at < 0) return cookie.trim() ? cookie.replace(/\S(?:.*\S)?/s, masked) : cookie
  return cookie.slice(0, at + 1) + (cookie.slice(at + 1).trim() && masked)
}

/**
 * Decodes ASCII characters; others do not matter here.
 * @param {string} name
 */
function decoded(name) {
  return name.replace(/%([0-7][0-9a-f])/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)))
}
