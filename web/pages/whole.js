/** Content of a request as the pages want it: whole. */
import { bytesInWords } from './content.js'

/** The most that a page reads of content that streams, in bytes. */
export const mostBytes = 4 << 20

/**
 * Gives handlers content that streams as whole content, up to a bound; beyond it visitors get 413.
 * @param {import('/sdk.js').Handler} handler
 * @returns {import('/sdk.js').Handler}
 */
export function withWholeContent(handler) {
  return async (request, info) => {
    // What follows an upgrade comes after it.
    if (info.upgrade) return handler(request, { ...info, body: null })
    if (!info.body) return handler(request, info)
    const content = await read(info.body)
    if (!content) {
      return new Response(`this page takes ${bytesInWords(mostBytes)} at most\n`, { status: 413 })
    }
    return handler(request, { ...info, body: null, content })
  }
}

/**
 * Reads a stream to its end, or gives null where it is too long.
 * @param {ReadableStream<Uint8Array>} stream
 */
async function read(stream) {
  const reader = stream.getReader()
  /** @type {BlobPart[]} */
  const chunks = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return new Uint8Array(await new Blob(chunks).arrayBuffer())
    size += value.length
    if (size > mostBytes) {
      await reader.cancel()
      return null
    }
    chunks.push(/** @type {Uint8Array<ArrayBuffer>} */ (value))
  }
}
