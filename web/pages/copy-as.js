/** Formats a request for pasting into a shell, a program, an editor or another tool. */
import { toBase64 } from './content.js'
import { readable, trimmed } from './field.js'
import { curl, httpie } from './shell.js'

/**
 * @typedef {object} CopiedRequest
 * @property {string} method
 * @property {string} url each character is one byte
 * @property {readonly (readonly [string, string])[]} headers each character of a value is one byte
 * @property {Uint8Array} content
 */
/**
 * @typedef {object} Sent a request as a tool is asked to send it
 * @property {string} method
 * @property {string} url printable ASCII, http or https
 * @property {string} target the same without scheme and authority
 * @property {string} host of the URL
 * @property {[string, string][]} headers without those that the tool makes
 * @property {Uint8Array} content
 * @property {string | undefined} text the content, where it is text
 * @property {boolean} hasContent also true where it is empty, and that was said
 */

// Fields of connections and framing, which the tool sets itself (RFC 9110, 7.6.1).
const made = new Set(
  'connection content-length expect http2-settings keep-alive proxy-connection te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
)
// Fields in which a gateway describes the path of a request.
const way = /^(?:via|forwarded|x-forwarded-.*)$/

/**
 * Returns a request in the form that a tool takes. It leaves out fields that the tool sets itself,
 * those of the gateway, and those that HTTP cannot carry.
 * @param {'curl' | 'fetch' | 'httpie' | 'raw' | 'har'} kind
 * @param {CopiedRequest} request
 */
export function copyAs(kind, request) {
  const sent = sentBy(request)
  switch (kind) {
    case 'curl':
      return curl(sent)
    case 'httpie':
      return httpie(sent)
    case 'fetch':
      return fetchCall(sent)
    case 'har':
      return har(sent)
    case 'raw':
      return message(sent, request.headers)
  }
}

/**
 * @param {CopiedRequest} request
 * @returns {Sent}
 */
function sentBy({ method, url: given, headers: all, content }) {
  const url = urlOf(given)
  const [, host, target] = /^https?:\/\/([^/?]*)(.*)$/i.exec(url) ?? ['', '', '']
  const listed = all.filter(([name]) => name.toLowerCase() === 'connection')
  const hops = new Set(listed.flatMap(([, value]) => value.toLowerCase().split(/[\s,]+/)))
  const headers = all.filter(([name, value]) => {
    const lower = name.toLowerCase()
    if (made.has(lower) || hops.has(lower) || way.test(lower) || !isField(name, value)) return false
    return lower !== 'host' || !sameHost(value, host, url)
  })
  return {
    method: isToken(method) ? method : 'GET',
    url,
    target: target.startsWith('/') ? target : `/${target}`,
    host,
    headers: headers.map(([name, value]) => [name, trimmed(value)]),
    content,
    text: content.includes(0) ? undefined : asUTF8(content),
    hasContent: content.length > 0 || all.some(([name]) => name.toLowerCase() === 'content-length'),
  }
}

/**
 * Returns the URL in printable ASCII, with every other byte percent-encoded.
 * @param {string} url
 */
function urlOf(url) {
  const http = url.replace(/^ws(?=s?:\/\/)/i, 'http')
  const whole = /^https?:\/\//i.test(http) ? http : `http://${http}`
  return whole.replace(/[^\x21\x22\x24-\x7e]/gu, (c) =>
    c <= '\xff'
      ? `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
      : encodeURIComponent(c.replace(/\p{Surrogate}/u, '\ufffd')),
  )
}

/**
 * @param {string} value of Host
 * @param {string} host
 * @param {string} url
 */
function sameHost(value, host, url) {
  const port = /^https/i.test(url) ? /:443$/ : /:80$/
  return trimmed(value).toLowerCase().replace(port, '') === host.toLowerCase().replace(port, '')
}

/** @param {string} text */
function isToken(text) {
  return /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(text)
}

/**
 * @param {string} name
 * @param {string} value
 */
function isField(name, value) {
  return isToken(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)
}

/** @param {Uint8Array} content */
function asUTF8(content) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
  } catch {
    return undefined
  }
}

/** @param {Sent} sent */
function fetchCall({ method, url, headers, content, text, hasContent }) {
  const upper = method.toUpperCase()
  const none = upper === 'GET' || upper === 'HEAD'
  const lines = method === 'GET' ? [] : [`  method: ${literal(method)},`]
  if (headers.length) {
    const pairs = headers.map(([name, value]) => `    [${literal(name)}, ${literal(value)}],`)
    lines.push('  headers: [', ...pairs, '  ],')
  }
  if (content.length && none) lines.push(`  // fetch sends no content with ${upper}.`)
  else if (hasContent && !none) lines.push(`  body: ${body()},`)
  // The URL standard treats a backslash in a path as a slash.
  const address = literal(url.replace(/^[^?]*/, (path) => path.replaceAll('\\', '%5C')))
  return lines.length
    ? `await fetch(${address}, {\n${lines.join('\n')}\n})\n`
    : `await fetch(${address})\n`

  function body() {
    if (text === undefined) {
      return `Uint8Array.from(atob(${literal(toBase64(content))}), (c) => c.charCodeAt(0))`
    }
    // A string would add a Content-Type of its own.
    const typed = headers.some(([name]) => name.toLowerCase() === 'content-type')
    return typed ? literal(text) : `new TextEncoder().encode(${literal(text)})`
  }
}

/**
 * Returns a JavaScript literal in which all invisible characters are escaped.
 * @param {string} text
 */
function literal(text) {
  return JSON.stringify(text).replace(/[^\x20-\x7e\p{L}\p{M}\p{N}\p{P}\p{S}]/gu, (c) =>
    Array.from(
      { length: c.length },
      (_, i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  )
}

/**
 * Returns the HTTP/1.1 message, for people to read. Bytes that are not UTF-8 become characters of
 * the same number, so it is exact only if all is text.
 * @param {Sent} sent
 * @param {CopiedRequest['headers']} all
 */
function message({ method, target, host, headers, content, hasContent }, all) {
  const named = all.find(([name, value]) => /^host$/i.test(name) && isField(name, value))
  const others = headers.filter(([name]) => !/^host$/i.test(name))
  const fields = [['Host', named?.[1] ?? host], ...others]
  if (hasContent) fields.push(['Content-Length', String(content.length)])
  const head = fields.map(([name, value]) => `${name}: ${readable(value)}\r\n`).join('')
  const shown = asUTF8(content) ?? atob(toBase64(content))
  return `${method} ${target} HTTP/1.1\r\n${head}\r\n${shown}`
}

/**
 * Returns a HAR 1.2 log of one entry without a response, as for a failed request.
 * @param {Sent} sent
 */
function har({ method, url, headers, content, text, hasContent }) {
  const pair = ([name, value] = ['', '']) => ({ name, value: readable(value) })
  const query = new URLSearchParams(/\?(.*)/.exec(url)?.[1] ?? '')
  const cookies = headers.filter(([name]) => name.toLowerCase() === 'cookie')
  const type = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? ''
  const coded = text === undefined ? { text: toBase64(content), encoding: 'base64' } : { text }
  const request = {
    method,
    url,
    httpVersion: 'HTTP/1.1',
    cookies: cookies.flatMap(([, value]) => cookiesOf(readable(value))),
    headers: headers.map((field) => pair(field)),
    queryString: [...query].map(([name, value]) => ({ name, value })),
    ...(hasContent && { postData: { mimeType: readable(type), ...coded } }),
    headersSize: -1,
    bodySize: content.length,
  }
  const response = {
    status: 0,
    statusText: '',
    httpVersion: '',
    cookies: [],
    headers: [],
    content: { size: 0, mimeType: 'x-unknown' },
    redirectURL: '',
    headersSize: -1,
    bodySize: -1,
  }
  const entry = {
    startedDateTime: new Date().toISOString(),
    time: 0,
    request,
    response,
    cache: {},
    timings: { send: 0, wait: 0, receive: 0 },
  }
  const log = { version: '1.2', creator: { name: 'ReverseHttp', version: '1' }, entries: [entry] }
  return `${JSON.stringify({ log }, null, 2)}\n`
}

/** @param {string} value */
function cookiesOf(value) {
  return value.split(';').flatMap((pair) => {
    const at = pair.indexOf('=')
    return at < 0 ? [] : [{ name: trimmed(pair.slice(0, at)), value: trimmed(pair.slice(at + 1)) }]
  })
}
