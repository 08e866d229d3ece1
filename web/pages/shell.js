/** Requests as commands for bash and zsh: curl and HTTPie. */
import { toBase64 } from './content.js'
import { bytesOf, readable } from './field.js'

/** @typedef {import('./copy-as.js').Sent} Sent */

// Linux allows at most 128 KiB for one argument of a program.
const mostArgument = 65_536
const dots = /\/(?:\.|%2e){1,2}(?=[/?]|$)/i
const plain = /^[\n\x20\p{L}\p{M}\p{N}\p{P}\p{S}]*$/u

/**
 * Returns the curl command that sends the request.
 * @param {Sent} sent
 */
export function curl(sent) {
  const { method, url, headers, hasContent } = sent
  const has = names(headers)
  const parts = ['curl']
  // curl expands [] and {} to several URLs, and resolves dots.
  if (/[[\]{}]/.test(url)) parts.push('--globoff')
  if (dots.test(url)) parts.push('--path-as-is')
  if (has('accept-encoding')) parts.push('--compressed')
  // RFC 9110, 9.3.2: content of HEAD has no meaning, and curl cannot send it.
  const data = method === 'HEAD' || !hasContent ? undefined : dataOf(sent)
  if (method === 'HEAD') parts.push('--head')
  else if (method !== (data ? 'POST' : 'GET')) parts.push(`-X ${quote(method)}`)
  const lines = [[...parts, quote(url)].join(' ')]
  for (const [name, value] of headers) {
    // A name without a value would remove the field.
    lines.push(`-H ${quoteBytes(value ? `${name}: ${value}` : `${name};`)}`)
  }
  for (const name of ['Accept', 'User-Agent']) if (!has(name)) lines.push(`-H '${name}:'`)
  if (data && !has('content-type')) lines.push("-H 'Content-Type:'")
  if (data) lines.push(data.argument ? `--data-raw ${data.argument}` : '--data-binary @-')
  return `${data?.before ?? ''}${lines.join(' \\\n  ')}\n`
}

/**
 * Returns the HTTPie command that sends the request, with a comment about what it cannot send.
 * @param {Sent} sent
 */
export function httpie(sent) {
  const { method, url, headers, hasContent } = sent
  if (!/^[a-z]+$/i.test(method)) return `# HTTPie sends no method ${quote(method)}.\n`
  const has = names(headers)
  const data = hasContent ? dataOf(sent) : undefined
  const parts = ['http']
  if (data?.before === undefined) parts.push('--ignore-stdin')
  if (dots.test(url)) parts.push('--path-as-is')
  if (data?.argument) parts.push(`--raw=${data.argument}`)
  if (headers.some(([name]) => name.startsWith('-'))) parts.push('--')
  const lines = [[...parts, method, quote(url)].join(' ')]
  const cannot = []
  for (const [name, value] of headers) {
    const item = itemOf(name, value)
    if (item) lines.push(item)
    else cannot.push(`# HTTPie cannot send this value of ${quote(name)}.\n`)
  }
  // With content HTTPie sets Accept and Content-Type to JSON.
  if (data && !has('accept')) lines.push("'Accept:'")
  if (data && !has('content-type')) lines.push("'Content-Type:'")
  return `${cannot.join('')}${data?.before ?? ''}${lines.join(' \\\n  ')}\n`
}

/**
 * @param {string} name
 * @param {string} value
 */
function itemOf(name, value) {
  const text = readable(value)
  // HTTPie sends text only, and cannot express a backslash before one of its separators.
  if ((text === value && /[\x80-\xff]/.test(value)) || /(?<!\\)(?:\\\\)*\\[:;=@]/.test(value)) {
    return undefined
  }
  if (!value) return quote(`${name};`)
  // := and :@ would be other separators.
  return quote(`${name}:${/^[=@]/.test(text) ? '\\' : ''}${text}`)
}

/**
 * Returns content as an argument, or, if it cannot be one, the text before a command that reads it.
 * @param {Sent} sent
 * @returns {{ argument?: string, before?: string }}
 */
function dataOf({ content, text }) {
  if (text !== undefined && content.length <= mostArgument) return { argument: quote(text) }
  return { before: `base64 --decode <<< '${toBase64(content)}' |\n  ` }
}

/** @param {Sent['headers']} headers */
function names(headers) {
  const all = new Set(headers.map(([name]) => name.toLowerCase()))
  return (/** @type {string} */ name) => all.has(name.toLowerCase())
}

/**
 * Quotes bytes for bash.
 * @param {string} value each character is one byte
 */
function quoteBytes(value) {
  const text = readable(value)
  return text === value ? quoteWith(value, value) : quote(text)
}

/**
 * Quotes a text for bash. It escapes characters that are invisible or would be lost by pasting.
 * @param {string} text
 */
function quote(text) {
  return quoteWith(text, undefined)
}

/**
 * @param {string} text
 * @param {string | undefined} bytes the same, where its characters are bytes
 */
function quoteWith(text, bytes) {
  if (plain.test(text) && (bytes === undefined || /^[\x00-\x7f]*$/.test(bytes))) {
    return `'${text.replaceAll("'", "'\\''")}'`
  }
  const escaped = Array.from(text, (c) => {
    if (c === '\n') return '\\n'
    if (c === "'" || c === '\\') return `\\${c}`
    // Shell history expands ! even there.
    if (c !== '!' && plain.test(c) && (bytes === undefined || c < '\x80')) return c
    const of = bytes === undefined ? new TextEncoder().encode(c) : bytesOf(c)
    return Array.from(of, (b) => `\\x${b.toString(16).padStart(2, '0')}`).join('')
  })
  return `$'${escaped.join('')}'`
}
