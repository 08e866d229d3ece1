/** Content of an exchange, as bytes and as text. */

/**
 * Returns the bytes of an envelope.
 * @param {{ body?: string, bodyBase64?: string, content?: Uint8Array<ArrayBuffer> }} envelope
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function contentOf({ body = '', bodyBase64, content }) {
  return content ?? (bodyBase64 ? fromBase64(bodyBase64) : new TextEncoder().encode(body))
}

/**
 * Returns the text of content that is UTF-8 without control characters, otherwise undefined.
 * @param {Uint8Array} content
 * @param {boolean} cut whether it may end within a character
 */
export function asText(content, cut = false) {
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const text = decoder.decode(content, { stream: cut })
    return /[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]/.test(text) ? undefined : text
  } catch {
    return undefined
  }
}

/**
 * Returns a size as people read it: bytes below 1 KiB, otherwise the largest unit that it has one of, to a tenth.
 * @param {number} n
 */
export function bytesInWords(n) {
  if (n === 1) return '1 byte'
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  // A value that rounds to 1,024 of a unit is one of the next.
  for (; at < units.length - 1 && Math.round(n * 10) / 10 >= 1024; at++) n /= 1024
  return `${n.toLocaleString('en', { maximumFractionDigits: 1 })} ${units[at]}`
}

/** @param {string} text */
export function fromBase64(text) {
  const binary = atob(text)
  // Not Uint8Array.from, which takes thirty times as long.
  const bytes = new Uint8Array(binary.length)
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at)
  return bytes
}

/** @param {Uint8Array} content */
export function toBase64(content) {
  let text = ''
  for (let at = 0; at < content.length; at += 8192) {
    text += String.fromCharCode(...content.subarray(at, at + 8192))
  }
  return btoa(text)
}
