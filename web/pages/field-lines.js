/** Fields as editable lines of text. */
import { readable } from './field.js'
import { maskValue } from './mask.js'

/** @typedef {[string, string]} Field */

/**
 * Returns fields as lines, with secrets masked unless `secrets` is set.
 * @param {readonly Field[]} fields
 * @param {boolean} secrets
 */
export function linesOf(fields, secrets) {
  return fields.map((field) => line(field, secrets)).join('\n')
}

/**
 * Parses fields from lines. A line that represents an original field becomes that field, with its
 * masked value and the bytes that cannot be typed.
 * @param {string} text
 * @param {readonly Field[]} original
 * @returns {Field[]}
 */
export function fieldsOf(text, original) {
  const known = new Map()
  for (const secrets of [true, false]) {
    for (const field of original) {
      const shown = line(field, secrets)
      const same = known.get(shown) ?? []
      known.set(shown, same.includes(field) ? same : [...same, field])
    }
  }
  /** @type {Field[]} */
  const fields = []
  for (const shown of text.split('\n')) {
    if (!shown.trim()) continue
    const [field, ...others] = known.get(shown) ?? []
    if (field) {
      // Two secrets of one name look the same, so each line takes the next of them.
      known.set(shown, others.length ? others : [field])
      fields.push(field)
      continue
    }
    const [, name, value] = /^([^:]+):\s*(.*?)\s*$/.exec(shown) ?? []
    if (!name) throw new Error(`No field is in the line: ${shown.slice(0, 80)}`)
    fields.push([name.trim(), String.fromCharCode(...new TextEncoder().encode(value))])
  }
  return fields
}

/**
 * @param {Field} field
 * @param {boolean} secrets
 */
function line([name, value], secrets) {
  return `${name}: ${readable(secrets ? value : maskValue(name, value))}`
}
