// A file of 2 GiB that a page serves, and its content.

/** The size of the file, in bytes. */
export const fileSize = 2 ** 31
const blockSize = 2 ** 20

/**
 * Returns the bytes of the file from one offset up to another. Each block begins with its number,
 * in eight bytes.
 */
export function contentOf(from, to) {
  const bytes = Buffer.alloc(to - from)
  for (let i = from; i < to; i++) bytes[i - from] = (i % blockSize) % 251
  for (let block = Math.floor(from / blockSize); block * blockSize < to; block++) {
    const number = Buffer.alloc(8)
    number.writeUInt32BE(block, 4)
    for (let i = 0; i < 8; i++) {
      const at = block * blockSize + i - from
      if (at >= 0 && at < bytes.length) bytes[at] = number[i]
    }
  }
  return bytes
}

/**
 * Claims in a page and serves the file there, with Range. It uses nothing outside itself, since it
 * is sent to the page as text.
 */
export async function serveBigFile({ gateway, size, block }) {
  const filler = new Blob([Uint8Array.from({ length: block - 8 }, (_, i) => (i + 8) % 251)])
  const parts = Array.from({ length: size / block }, (_, number) => {
    const head = new DataView(new ArrayBuffer(8))
    head.setUint32(4, number)
    return [head, filler]
  })
  const file = new File(parts.flat(), 'big')

  /**
   * Parses a Range field: undefined means all, null that nothing in range exists (RFC 9110,
   * 14.1.2).
   */
  function range(field) {
    const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(field ?? '') ?? []
    if (!from && !to) return undefined
    const first = from ? Number(from) : Math.max(0, file.size - Number(to))
    const last = from && to ? Math.min(Number(to), file.size - 1) : file.size - 1
    return first <= last ? [first, last + 1] : null
  }

  function handle(request) {
    const asked = range(request.headers.get('Range'))
    const headers = { 'Accept-Ranges': 'bytes', 'Content-Type': 'application/octet-stream' }
    if (asked === null) {
      headers['Content-Range'] = `bytes */${file.size}`
      return new Response(null, { status: 416, headers })
    }
    const [from, to] = asked ?? [0, file.size]
    headers['Content-Length'] = String(to - from)
    if (asked) headers['Content-Range'] = `bytes ${from}-${to - 1}/${file.size}`
    return new Response(file.slice(from, to), { status: asked ? 206 : 200, headers })
  }

  const { serve } = await import(`${gateway}/sdk.js`)
  const claim = await serve(handle, { gateway })
  return claim.url
}

/** The options of serveBigFile. */
export const bigFile = (gateway) => ({ gateway, size: fileSize, block: blockSize })
