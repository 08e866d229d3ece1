/**
 * Parses the content of forms: application/x-www-form-urlencoded, and multipart content, as forms with files
 * send it (RFC 2046, 5.1; RFC 7578).
 */
import { readable, trimmed, valuesOf } from './field.js'

const mostPairs = 1_000
const mostParts = 200
const mostFields = 64
const mostFieldBytes = 16_384
// RFC 2046, 5.1.1, allows 70.
const mostBoundary = 256

/**
 * @typedef {object} Part
 * @property {[string, string][]} headers each character of a value is one byte
 * @property {string | undefined} name
 * @property {string | undefined} filename as it was sent: it may look like a path
 * @property {Uint8Array} bytes
 */

/**
 * Splits content into its parts. If it is malformed, or has more than 200 parts, `fault` says so
 * and `parts` has the parts before; if it ends early, the last part is incomplete.
 * @param {Uint8Array} bytes
 * @param {string} contentType the value of Content-Type
 * @returns {{ parts: Part[], fault?: string }}
 */
export function parseMultipart(bytes, contentType) {
  /** @type {Part[]} */
  const parts = []
  const boundary = boundaryOf(contentType)
  if (!boundary) return { parts, fault: 'Content-Type is not multipart with a boundary' }
  const delimiter = Uint8Array.from(`\r\n--${boundary}`, (c) => c.charCodeAt(0))
  // The first delimiter may be at the very beginning, without a line end before it.
  let at = delimiterAt(bytes, -2, delimiter) ?? delimiterFrom(bytes, 0, delimiter)
  if (!at) return { parts, fault: 'the boundary is not in the content' }
  while (!at.last) {
    if (parts.length === mostParts)
      return { parts, fault: `there are more than ${mostParts} parts` }
    const next = delimiterFrom(bytes, at.to - 2, delimiter)
    const part = partOf(bytes.subarray(at.to, next ? Math.max(next.from, at.to) : bytes.length))
    if (typeof part === 'string') return { parts, fault: part }
    parts.push(part)
    if (!next) return { parts, fault: 'the content ends before its last boundary' }
    at = next
  }
  return { parts }
}

/** @param {string} contentType */
function boundaryOf(contentType) {
  if (!/^\s*multipart\//i.test(contentType)) return undefined
  const boundary = parameter(contentType, 'boundary')
  return boundary && boundary.length <= mostBoundary && /^[\x20-\xff]+$/.test(boundary)
    ? boundary
    : undefined
}

/**
 * Finds the next delimiter.
 * @param {Uint8Array} bytes
 * @param {number} from
 * @param {Uint8Array} delimiter
 */
function delimiterFrom(bytes, from, delimiter) {
  for (let at = bytes.indexOf(13, from); at >= 0; at = bytes.indexOf(13, at + 1)) {
    const found = delimiterAt(bytes, at, delimiter)
    if (found) return found
  }
  return undefined
}

/**
 * Returns the delimiter at an offset, with the line end before it, if it is a whole line, closing
 * or not.
 * @param {Uint8Array} bytes
 * @param {number} from may be negative: the bytes before the beginning are assumed to match
 * @param {Uint8Array} delimiter
 */
function delimiterAt(bytes, from, delimiter) {
  for (let i = Math.max(0, -from); i < delimiter.length; i++) {
    if (bytes[from + i] !== delimiter[i]) return undefined
  }
  let to = from + delimiter.length
  if (bytes[to] === 45 && bytes[to + 1] === 45) return { from, to: to + 2, last: true }
  while (bytes[to] === 32 || bytes[to] === 9) to++
  return bytes[to] === 13 && bytes[to + 1] === 10 ? { from, to: to + 2, last: false } : undefined
}

/**
 * @param {Uint8Array} bytes between two delimiters
 * @returns {Part | string} what is wrong with it
 */
function partOf(bytes) {
  const head = String.fromCharCode(...bytes.subarray(0, mostFieldBytes))
  const at = head.startsWith('\r\n') ? 0 : head.indexOf('\r\n\r\n') + 2
  // RFC 2046, 5.1.1: without an empty line there are only fields.
  const only = at === 1
  if (only && bytes.length > mostFieldBytes) return 'the fields of a part do not end'
  const headers = fieldsOf(only ? head : head.slice(0, at))
  if (typeof headers === 'string') return headers
  const [disposition = ''] = valuesOf(headers, 'content-disposition')
  const name = parameter(disposition, 'name')
  return {
    headers,
    name: name === undefined ? undefined : readable(name),
    filename: filenameOf(disposition),
    bytes: bytes.subarray(only ? bytes.length : at + 2),
  }
}

/**
 * @param {string} head
 * @returns {[string, string][] | string} what is wrong with them
 */
function fieldsOf(head) {
  /** @type {[string, string][]} */
  const headers = []
  // RFC 5322, 2.2.3: a line that begins with a space continues the one before.
  const lines = head.replace(/\r\n(?=[ \t])/g, '').split('\r\n')
  for (const line of lines) {
    if (!line) continue
    const colon = line.indexOf(':')
    if (colon < 1) return 'a field of a part is malformed'
    if (headers.length === mostFields) return `a part has more than ${mostFields} fields`
    headers.push([trimmed(line.slice(0, colon)), trimmed(line.slice(colon + 1))])
  }
  return headers
}

/** @param {string} disposition */
function filenameOf(disposition) {
  // RFC 8187. Forms should not use it, but some programs do.
  const extended = /^utf-8'[^']*'(.*)$/is.exec(parameter(disposition, 'filename*') ?? '')?.[1]
  try {
    if (extended !== undefined) return decodeURIComponent(extended)
  } catch {
    // Malformed: use the plain parameter.
  }
  const plain = parameter(disposition, 'filename')
  return plain === undefined ? undefined : readable(plain)
}

/**
 * Returns a parameter of a value such as form-data; name="a". A backslash escapes only a quotation
 * mark and a backslash, because some browsers sent whole Windows paths.
 * @param {string} value
 * @param {string} name in lower case
 */
function parameter(value, name) {
  const pairs = /;\s*([^\s=;"]+)\s*=\s*(?:"((?:\\["\\]|\\(?!["\\])|[^"\\])*)"?|([^;"]*))/g
  for (const [, n, quoted, plain] of value.slice(0, mostFieldBytes).matchAll(pairs)) {
    if (n.toLowerCase() === name) return quoted?.replace(/\\(["\\])/g, '$1') ?? trimmed(plain)
  }
  return undefined
}

/**
 * Returns the names and values of a form, or of the query of a URL without its `?`, decoded as the
 * URL standard does. Those after the first thousand are left out.
 * @param {string} text
 * @returns {[string, string][]}
 */
export function parseForm(text) {
  // URLSearchParams skips one leading question mark, which is part of the first name here.
  return [...new URLSearchParams(`?${text}`)].slice(0, mostPairs)
}
