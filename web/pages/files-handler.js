/**
 * Answers visitors of shared files: with a list, with each file and its ranges, and with all of them as one
 * zip.
 */
import { hostOf } from './address.js'
import { listPage } from './files-page.js'
import { urlPath } from './shared-files.js'

/**
 * @typedef {object} Zipping makes one stream of many files
 * @property {(files: Iterable<{ name: string, input: File, lastModified: Date }>) => ReadableStream<Uint8Array>} makeZip
 * @property {(files: Iterable<{ name: string, size: number }>) => bigint} predictLength
 */

// Browsers display these types, none of which can run a script. All others are saved.
const shown = /^(image\/(?!svg)|audio\/|video\/|text\/plain|application\/pdf)/i

/**
 * Returns the handler.
 * @param {import('./shared-files.js').SharedFiles} files
 * @param {import('./transfers.js').Transfers} transfers
 * @param {(request: Request, file: File) => Response} serveFile answers ranges and conditions
 * @param {() => Promise<Zipping>} zipping
 * @returns {import('/sdk.js').Handler}
 */
export function filesHandler(files, transfers, serveFile, zipping) {
  return async (request, info) => {
    if (info.method !== 'GET' && info.method !== 'HEAD') {
      return text(405, 'Files are for GET and HEAD.', { Allow: 'GET, HEAD' })
    }
    const { pathname } = new URL(request.url)
    if (pathname === '/') return list(files, request)
    if (pathname === '/all.zip') return zip(files, transfers, info, await zipping())
    const path = pathname.startsWith('/files/') && decoded(pathname.slice('/files/'.length))
    const file = path ? files.get(path) : undefined
    if (!path || !file)
      return text(404, 'There is no such file here. The list is at / of this URL.')
    return one(path, serveFile(request, file), file, info, transfers)
  }
}

/**
 * @param {string} path
 * @param {Response} response
 * @param {File} file
 * @param {import('/sdk.js').Info} info
 * @param {import('./transfers.js').Transfers} transfers
 */
function one(path, response, file, info, transfers) {
  const { headers } = response
  const how = shown.test(file.type) ? 'inline' : 'attachment'
  headers.set('Content-Disposition', disposition(how, path))
  headers.set('X-Content-Type-Options', 'nosniff')
  // Caches check whether it is still the same file, and whether the visitor may still have it.
  headers.set('Cache-Control', 'private, no-cache')
  if (info.method === 'HEAD' || ![200, 206].includes(response.status)) return response
  // Several ranges come with more than their bytes.
  const bytes = Number(headers.get('Content-Length') ?? file.size)
  headers.set('Content-Length', `${bytes}`)
  const from = Number(/^bytes (\d+)-/.exec(headers.get('Content-Range') ?? '')?.[1] ?? 0)
  const about = { name: path, address: hostOf(info.remoteAddr), from, bytes }
  return transfers.begin(response, about) ?? busy()
}

/**
 * @param {import('./shared-files.js').SharedFiles} files
 * @param {import('./transfers.js').Transfers} transfers
 * @param {import('/sdk.js').Info} info
 * @param {Zipping} zipping
 */
function zip(files, transfers, info, { makeZip, predictLength }) {
  const all = files.all
  if (!all.length) return text(404, 'Nothing is shared here at the moment.')
  const bytes = Number(
    predictLength(all.map(({ path, file }) => ({ name: path, size: file.size }))),
  )
  const headers = {
    'Content-Type': 'application/zip',
    'Content-Disposition': disposition('attachment', 'all.zip'),
    'Content-Length': `${bytes}`,
    'Cache-Control': 'no-store',
  }
  if (info.method === 'HEAD') return new Response(null, { headers })
  const entries = all.map(({ path, file }) => ({
    name: path,
    input: file,
    lastModified: new Date(file.lastModified),
  }))
  const about = { name: 'all.zip', address: hostOf(info.remoteAddr), from: 0, bytes }
  return transfers.begin(new Response(makeZip(entries), { headers }), about) ?? busy()
}

/**
 * @param {import('./shared-files.js').SharedFiles} files
 * @param {Request} request
 */
function list(files, request) {
  const all = files.all.map(({ path, file }) => ({
    path,
    url: `files/${urlPath(path)}`,
    size: file.size,
    type: file.type,
    modified: new Date(file.lastModified).toISOString(),
  }))
  const fields = { 'Cache-Control': 'no-store', Vary: 'Accept' }
  const accept = request.headers.get('Accept') ?? ''
  if (/text\/html/i.test(accept)) {
    const headers = {
      ...fields,
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy':
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    }
    return new Response(listPage(all), { headers })
  }
  if (/json/i.test(accept)) return Response.json({ files: all }, { headers: fields })
  const lines = all.map(({ url, size }) => `${String(size).padStart(12)}  ${url}\n`)
  const nothing = 'Nothing is shared here at the moment.'
  return text(200, lines.join('').trimEnd() || nothing, fields)
}

/**
 * Names a file for saving (RFC 6266): in ASCII, and in UTF-8 for clients that read that.
 * @param {'inline' | 'attachment'} how
 * @param {string} path
 */
function disposition(how, path) {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  const exact = encodeURIComponent(name).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16)}`,
  )
  return `${how}; filename="${plain}"; filename*=UTF-8''${exact}`
}

function busy() {
  return text(503, 'Many downloads run at the moment. Try again soon.', { 'Retry-After': '10' })
}

/**
 * @param {number} status
 * @param {string} said
 * @param {Record<string, string>} [fields]
 */
function text(status, said, fields = {}) {
  const headers = {
    'Content-Type': 'text/plain; charset=utf-8',
    'Cache-Control': 'no-store',
    ...fields,
  }
  return new Response(`${said}\n`, { status, headers })
}

/** @param {string} path */
function decoded(path) {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
