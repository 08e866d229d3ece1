/* Messages to the gateway with their content beside them, so that content is neither encoded nor escaped. */

import type { ReverseHttpError } from './error.js'

// Larger requests of a page are sent as a Blob in Chromium, the only browser that supports duplex: it sends a
// Blob several times as fast.
const blobBytes = 131_072
const blobs = globalThis.location && 'duplex' in globalThis.Request.prototype

/** Writes lines, each followed by its content if it has any. */
export function frame(
  lines: string[],
  contents: (Uint8Array | Blob | undefined)[],
): Uint8Array<ArrayBuffer> | Blob {
  const encoder = new TextEncoder()
  const pieces: (Uint8Array | Blob)[] = []
  let size = 0
  lines.forEach((line, i) => {
    const content = contents[i]
    const added = [encoder.encode(line + '\n'), ...(content ? [content, encoder.encode('\n')] : [])]
    for (const piece of added) size += piece instanceof Blob ? piece.size : piece.length
    pieces.push(...added)
  })
  if (pieces.some((piece) => piece instanceof Blob) || (blobs && size > blobBytes)) {
    return new Blob(pieces as BlobPart[])
  }
  return bytesOf(pieces as Uint8Array[], size)
}

/** Joins pieces whose sizes add up to `size`. */
export function bytesOf(pieces: Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** Reports whether an intermediary refused the framed form, or changed it. */
export function misread({ status, code }: ReverseHttpError): boolean {
  const unknown = code === 'unexpected' && [400, 403, 405, 406, 501].includes(status)
  return unknown || code === 'bad_json' || status === 415
}
