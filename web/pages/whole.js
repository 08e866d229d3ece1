/** Collects the whole content of a request for a handler. */
import { bytesInWords } from './content.js'

/** The most content that a page collects from a stream, in bytes. */
export const mostBytes = 4 << 20

/**
 * Wraps a handler so that it gets streamed content as a whole, up to a bound. Beyond it visitors
 * get 413.
 * @param {import('/sdk.js').Handler} handler
 * @returns {import('/sdk.js').Handler}
 */
export function withWholeContent(handler) {
  return async (request, info) => {
    // Data after an upgrade comes only once it is accepted.
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
 * Reads a stream to its end, or returns null if it is too long.
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
