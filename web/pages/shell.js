/** Requests as commands for bash and zsh: curl and HTTPie. */
import { toBase64 } from './content.js'
import { bytesOf, readable } from './field.js'

/** @typedef {import('./copy-as.js').Sent} Sent */

// Linux takes at most 128 KiB as one argument of a program.
const mostArgument = 65_536
const dots = /\/(?:\.|%2e){1,2}(?=[/?]|$)/i
const plain = /^[\n\x20\p{L}\p{M}\p{N}\p{P}\p{S}]*$/u

/**
 * Returns the command of curl that sends the request.
 * @param {Sent} sent
 */
export function curl(sent) {
  const { method, url, headers, hasContent } = sent
  const has = names(headers)
  const parts = ['curl']
  // curl reads [] and {} as lists of URLs, and resolves dots.
  if (/[[\]{}]/.test(url)) parts.push('--globoff')
  if (dots.test(url)) parts.push('--path-as-is')
  if (has('accept-encoding')) parts.push('--compressed')
  // RFC 9110, 9.3.2: content of HEAD means nothing, and curl has no way to send it.
  const data = method === 'HEAD' || !hasContent ? undefined : dataOf(sent)
  if (method === 'HEAD') parts.push('--head')
  else if (method !== (data ? 'POST' : 'GET')) parts.push(`-X ${quote(method)}`)
  const lines = [[...parts, quote(url)].join(' ')]
  for (const [name, value] of headers) {
    // A name without value would take the field away.
    lines.push(`-H ${quoteBytes(value ? `${name}: ${value}` : `${name};`)}`)
  }
  for (const name of ['Accept', 'User-Agent']) if (!has(name)) lines.push(`-H '${name}:'`)
  if (data && !has('content-type')) lines.push("-H 'Content-Type:'")
  if (data) lines.push(data.argument ? `--data-raw ${data.argument}` : '--data-binary @-')
  return `${data?.before ?? ''}${lines.join(' \\\n  ')}\n`
}

/**
 * Returns the command of HTTPie that sends the request, with a comment on what it cannot send.
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
  // Content makes it ask for JSON and say that it sends that.
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
  // It sends text only, and has no way to write a backslash before one of its separators.
  if ((text === value && /[\x80-\xff]/.test(value)) || /(?<!\\)(?:\\\\)*\\[:;=@]/.test(value)) {
    return undefined
  }
  if (!value) return quote(`${name};`)
  // := and :@ would be other separators.
  return quote(`${name}:${/^[=@]/.test(text) ? '\\' : ''}${text}`)
}

/**
 * Returns content as an argument; or, where it cannot be one, what stands before a command that
 * reads it.
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
 * Quotes a text for bash. What cannot be seen, or would be lost when it is pasted, is escaped.
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
    // Histories of shells know ! even there.
    if (c !== '!' && plain.test(c) && (bytes === undefined || c < '\x80')) return c
    const of = bytes === undefined ? new TextEncoder().encode(c) : bytesOf(c)
    return Array.from(of, (b) => `\\x${b.toString(16).padStart(2, '0')}`).join('')
  })
  return `$'${escaped.join('')}'`
}
