/** The extension of the file that content is saved to, by its type. */
import { valuesOf } from './field.js'

/** @type {Record<string, string>} */
const extensions = {
  'application/javascript': 'js',
  'application/pdf': 'pdf',
  'application/x-www-form-urlencoded': 'txt',
  'application/zip': 'zip',
  'image/gif': 'gif',
  'image/jpeg': 'jpg',
  'image/png': 'png',
  'image/svg+xml': 'svg',
  'image/webp': 'webp',
  'text/css': 'css',
  'text/csv': 'csv',
  'text/html': 'html',
  'text/javascript': 'js',
  'text/markdown': 'md',
}

/**
 * Returns the extension, without a dot. Content that came in a coding is saved as it was sent, so it is named by that.
 * @param {{ headers: readonly (readonly [string, string])[] }} message
 */
export function extensionOf({ headers }) {
  const coding = (valuesOf(headers, 'content-encoding')[0] ?? '').trim().toLowerCase()
  if (coding && coding !== 'identity') return coding === 'gzip' ? 'gz' : 'bin'
  const type = (valuesOf(headers, 'content-type')[0] ?? '').split(';')[0].trim().toLowerCase()
  if (Object.hasOwn(extensions, type)) return extensions[type]
  if (/[/+]json$/.test(type)) return 'json'
  if (/[/+]xml$/.test(type)) return 'xml'
  return type.startsWith('text/') ? 'txt' : 'bin'
}
