/** Fields of requests and answers: pairs of name and value, each character of a value one byte. */

/**
 * Returns the values of a name, in order.
 * @param {readonly (readonly [string, string])[]} fields
 * @param {string} name in lower case
 */
export function valuesOf(fields, name) {
  return fields.filter(([n]) => n.toLowerCase() === name).map(([, value]) => value)
}

/**
 * Returns the bytes that a value or a target represents.
 * @param {string} value
 */
export function bytesOf(value) {
  return Uint8Array.from(value, (c) => c.charCodeAt(0))
}

/**
 * Returns a value or a target in readable form: as UTF-8 if its bytes are valid, otherwise one
 * character for each byte.
 * @param {string} value
 */
export function readable(value) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytesOf(value))
  } catch {
    return value
  }
}

/**
 * Returns a value without the spaces around it (RFC 9110, 5.5). String.trim also removes other
 * characters, and so a byte of some letters.
 * @param {string} value
 */
export function trimmed(value) {
  let from = 0
  let to = value.length
  while (value[from] === ' ' || value[from] === '\t') from++
  while (to > from && (value[to - 1] === ' ' || value[to - 1] === '\t')) to--
  return value.slice(from, to)
}
