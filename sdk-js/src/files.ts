/*
 * Answers with a file: conditional requests (RFC 9110, 13) and ranges (RFC 9110, 14). Content is sliced, never
 * read: a File of many gigabytes costs no memory. The first module does not import this one.
 */

/** Describes a file to its visitors. Absent members are omitted, or taken from the file. */
export interface FileOptions {
  /** The media type. Absent: that of the Blob, or application/octet-stream. */
  type?: string
  /**
   * The name under which browsers save the file. Absent: they show it if they can, and take the name from the
   * URL.
   */
  download?: string
  /**
   * The entity tag, with its quotes. Absent: derived from size and time if there is a time, otherwise none.
   * It must change with the content, because visitors resume downloads by it.
   */
  etag?: string
  /** When the content changed, in milliseconds like Date.now(). Absent: the time of a File. */
  lastModified?: number
  /** Further fields of the answer; they replace those above. */
  headers?: HeadersInit
}

/** The most ranges in one answer; a request for more gets the whole file. */
const mostRanges = 16

/** A range of bytes: its start, and its end (exclusive). */
type Range = readonly [start: number, end: number]

/**
 * Answers a GET or HEAD with a file, or with the ranges that the request asks for, or with 304, 412 or 416 if
 * its conditions say so. Other methods get 405.
 */
export function serveFile(
  request: Request,
  file: Blob | BufferSource,
  options: FileOptions = {},
): Response {
  if (!/^(GET|HEAD)$/.test(request.method)) {
    return new Response(null, { status: 405, headers: { Allow: 'GET, HEAD' } })
  }
  const blob = file instanceof Blob ? file : new Blob([file as BufferSource & BlobPart])
  const headers = describe(blob, options)
  const status = judge(request, headers)
  if (status) {
    // A 304 carries no content fields except those that identify the content (RFC 9110, 15.4.5).
    headers.delete('Content-Type')
    return new Response(null, { status, headers })
  }
  // RFC 9110, 14.2: ranges apply to GET only.
  const ranges = request.method === 'GET' ? rangesOf(request, headers, blob.size) : undefined
  if (!ranges) return whole(request, blob, headers)
  if (!ranges.length) {
    headers.set('Content-Range', `bytes */${blob.size}`)
    for (const name of ['Content-Type', 'Content-Disposition', 'ETag', 'Last-Modified']) {
      headers.delete(name)
    }
    return new Response(null, { status: 416, headers })
  }
  return ranges.length === 1 ? one(blob, ranges[0]!, headers) : several(blob, ranges, headers)
}

/**
 * Answers with the text of a page, as `serveFile` does with a file: HTML in UTF-8, unless `type` says
 * otherwise.
 */
export async function servePage(
  request: Request,
  html: string,
  options: FileOptions = {},
): Promise<Response> {
  const content = new TextEncoder().encode(html)
  // Browsers have no digests on http: origins other than localhost; pages have no entity tag there.
  const digest = options.etag === undefined && (await crypto.subtle?.digest('SHA-256', content))
  return serveFile(request, content, {
    type: 'text/html; charset=utf-8',
    ...(digest && { etag: `"${hex(new Uint8Array(digest, 0, 16))}"` }),
    ...options,
  })
}

/** Returns the fields of every answer with a file. */
function describe(
  blob: Blob,
  { type, download, etag, lastModified, headers }: FileOptions,
): Headers {
  const ms = lastModified ?? (blob as Partial<File>).lastModified
  const fields = new Headers({
    'Content-Type': type || blob.type || 'application/octet-stream',
    'Accept-Ranges': 'bytes',
    // Browsers must not interpret a stranger's file as a page or a script.
    'X-Content-Type-Options': 'nosniff',
  })
  if (ms !== undefined) fields.set('Last-Modified', new Date(ms).toUTCString())
  const tag =
    etag ?? (ms === undefined ? undefined : `"${ms.toString(36)}-${blob.size.toString(36)}"`)
  if (tag) fields.set('ETag', tag)
  if (download !== undefined) fields.set('Content-Disposition', attachment(download))
  new Headers(headers).forEach((value, name) => fields.set(name, value))
  return fields
}

/**
 * Returns the disposition that makes browsers save a file under a name (RFC 6266), whatever its characters.
 */
function attachment(name: string): string {
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  // The round trip through bytes replaces lone surrogates, which cannot be encoded.
  const text = new TextDecoder().decode(new TextEncoder().encode(name))
  const coded = encodeURIComponent(text).replace(
    /['()*]/g,
    (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase(),
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${coded}`
}

/** Returns 304 or 412 if a condition of the request says so, in the order of RFC 9110, 13.2.2. */
function judge({ headers: asked }: Request, own: Headers): 304 | 412 | undefined {
  const tag = own.get('ETag')
  const modified = Date.parse(own.get('Last-Modified') ?? '')
  const match = asked.get('If-Match')
  const noneMatch = asked.get('If-None-Match')
  if (match !== null) {
    if (!lists(match, tag, true)) return 412
  } else if (modified > dateIn(asked, 'If-Unmodified-Since')) return 412
  if (noneMatch !== null) return lists(noneMatch, tag, false) ? 304 : undefined
  return modified <= dateIn(asked, 'If-Modified-Since') ? 304 : undefined
}

/**
 * Reports whether a list of entity tags contains this one, by the strong or the weak comparison (RFC 9110,
 * 8.8.3.2).
 */
function lists(list: string, tag: string | null, strong: boolean): boolean {
  if (list.trim() === '*') return true
  const found = [...list.matchAll(/(?:W\/)?"[^"]*"/g)].map(([one]) => one)
  return found.some((one) => (strong ? isStrong(one) && one === tag : opaque(one) === opaque(tag)))
}

const isStrong = (tag: string | null): boolean => tag?.[0] === '"'

const opaque = (tag: string | null): string | undefined => tag?.replace(/^W\//, '')

/** Returns the date in a field, or NaN, which compares with nothing. */
function dateIn(fields: Headers, name: string): number {
  const text = fields.get(name) ?? ''
  // RFC 9110, 5.6.7: dates end in GMT, except in the asctime form. Engines also parse other texts, which are
  // not dates.
  if (/GMT$/.test(text)) return Date.parse(text)
  return /^\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}$/.test(text) ? Date.parse(`${text} GMT`) : NaN
}

/** Returns the requested ranges that exist in the file; undefined if all of it is to be sent. */
function rangesOf({ headers: asked }: Request, own: Headers, size: number): Range[] | undefined {
  const set = /^bytes=(.*)$/i.exec(asked.get('Range') ?? '')?.[1]
  const condition = asked.get('If-Range')
  if (set === undefined || !size || (condition !== null && !isSame(condition, asked, own))) return
  const ranges: Range[] = []
  const listed = set.split(',').filter((one) => one.trim())
  if (!listed.length || listed.length > mostRanges) return
  for (const one of listed) {
    const [, first, last] = /^[ \t]*(\d*)-(\d*)[ \t]*$/.exec(one) ?? []
    // RFC 9110, 14.2: an invalid set may be ignored, so the whole file is sent.
    if (first === undefined || last === undefined || !(first || last)) return
    if (first && last && Number(last) < Number(first)) return
    const start = first ? Number(first) : Math.max(0, size - Number(last))
    const end = first && last ? Math.min(size, Number(last) + 1) : size
    if (start < end) ranges.push([start, end])
  }
  // Overlapping ranges can ask for much with little (RFC 9110, 17.15).
  return ranges.reduce((sum, [start, end]) => sum + end - start, 0) > size ? undefined : ranges
}

/** Reports whether If-Range holds: the validator is strong and matches the file (RFC 9110, 13.1.5). */
function isSame(condition: string, asked: Headers, own: Headers): boolean {
  if (/"/.test(condition)) return isStrong(condition) && condition === own.get('ETag')
  const modified = Date.parse(own.get('Last-Modified') ?? '')
  // A file may change twice within the second of its date, so the date identifies the content only after that
  // second.
  return modified === dateIn(asked, 'If-Range') && Date.now() - modified >= 1000
}

/** Answers with all of the file. */
function whole({ method }: Request, blob: Blob, headers: Headers): Response {
  headers.set('Content-Length', `${blob.size}`)
  return new Response(method === 'HEAD' ? null : blob, { headers })
}

/** Answers with one range. */
function one(blob: Blob, [start, end]: Range, headers: Headers): Response {
  headers.set('Content-Range', `bytes ${start}-${end - 1}/${blob.size}`)
  headers.set('Content-Length', `${end - start}`)
  return new Response(blob.slice(start, end), { status: 206, headers })
}

/** Answers with several ranges, as multipart/byteranges (RFC 9110, 14.6). */
function several(blob: Blob, ranges: Range[], headers: Headers): Response {
  const boundary = hex(crypto.getRandomValues(new Uint8Array(16)))
  const type = headers.get('Content-Type')
  const content = new Blob([
    ...ranges.flatMap(([start, end], i) => [
      `${i ? '\r\n' : ''}--${boundary}\r\nContent-Type: ${type}\r\n` +
        `Content-Range: bytes ${start}-${end - 1}/${blob.size}\r\n\r\n`,
      blob.slice(start, end),
    ]),
    `\r\n--${boundary}--\r\n`,
  ])
  headers.set('Content-Type', `multipart/byteranges; boundary=${boundary}`)
  headers.set('Content-Length', `${content.size}`)
  return new Response(content, { status: 206, headers })
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
