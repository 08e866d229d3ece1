/** Content of an exchange: as bytes, and as something to look at. */

const mostShown = 65_536
const mostHex = 4_096
// A few bytes can nest deep; without a bound, indentation makes gigabytes of them.
const deepest = 32

/**
 * Gives the bytes of an envelope.
 * @param {{ body?: string, bodyBase64?: string, content?: Uint8Array<ArrayBuffer> }} envelope
 */
export function contentOf({ body = '', bodyBase64, content }) {
  return content ?? (bodyBase64 ? fromBase64(bodyBase64) : new TextEncoder().encode(body))
}

/**
 * Makes content readable: JSON indented, text as it is, anything else as hex.
 * `whole` tells whether all of it is in `text`.
 * @param {Uint8Array} content
 */
export function present(content) {
  if (!content.length) return { kind: 'none', text: '', whole: true }
  const shown = content.subarray(0, mostShown)
  const whole = shown.length === content.length
  const text = asText(shown, !whole)
  if (text === undefined) {
    const some = content.subarray(0, mostHex)
    return { kind: 'binary', text: hex(some), whole: some.length === content.length }
  }
  if (whole && /^\s*[[{]/.test(text)) {
    try {
      return { kind: 'JSON', text: indent(text), whole }
    } catch {
      // Not JSON, or nested deeper than the parser goes.
    }
  }
  return { kind: 'text', text, whole }
}

/**
 * Gives the text of content that is UTF-8 without control characters, else undefined.
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
 * Indents JSON and changes nothing else: numbers keep their digits, repeated members stay.
 * Throws where the text is not JSON.
 * @param {string} json
 */
export function indent(json) {
  JSON.parse(json)
  let depth = 0
  let before = ''
  let out = ''
  const line = () => '\n' + '  '.repeat(Math.min(depth, deepest))
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const closes = token === '}' || token === ']'
    if (closes) depth--
    const opened = before === '{' || before === '['
    if (closes ? !opened : opened || before === ',') out += line()
    out += token === ':' ? ': ' : token
    if (token === '{' || token === '[') depth++
    before = token
  }
  return out
}

/** @param {Uint8Array} content */
export function hex(content) {
  const lines = []
  for (let at = 0; at < content.length; at += 16) {
    const row = [...content.subarray(at, at + 16)]
    const bytes = row.map((b) => b.toString(16).padStart(2, '0')).join(' ')
    const text = row.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '.')).join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${bytes.padEnd(47)}  ${text}`)
  }
  return lines.join('\n')
}

/**
 * Gives a size as people read it: bytes below 1 KiB, else the largest unit that it has one of, to a tenth.
 * @param {number} n
 */
export function bytesInWords(n) {
  if (n === 1) return '1 byte'
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  // What is rounded to 1,024 of a unit is one of the next.
  for (; at < units.length - 1 && Math.round(n * 10) / 10 >= 1024; at++) n /= 1024
  return `${n.toLocaleString('en', { maximumFractionDigits: 1 })} ${units[at]}`
}

/** @param {string} text */
export function fromBase64(text) {
  const binary = atob(text)
  // Not Uint8Array.from: that takes thirty times as long.
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
