/**
 * Links that carry the code of the playground. It stands in the fragment, which no server is sent,
 * compressed; it comes into the editor, and runs when the person applies it.
 */

export const mostCode = 64 * 1024
const mostLink = 48 * 1024
const begin = '#code='

/**
 * Returns the fragment of a link to code.
 * @param {string} code
 */
export async function toFragment(code) {
  if (code.length > mostCode) throw new Error('the code is too long for a link')
  const bytes = new Uint8Array(
    await new Response(
      through(new Blob([code]), new CompressionStream('deflate-raw')),
    ).arrayBuffer(),
  )
  const text = Array.from(bytes, (b) => String.fromCharCode(b)).join('')
  return begin + btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** @param {string} fragment */
export function hasCode(fragment) {
  return fragment.startsWith(begin)
}

/**
 * Returns the code of a fragment, or rejects where it is none of ours.
 * @param {string} fragment
 */
export async function codeOf(fragment) {
  const damaged = 'the link is damaged: the code in it cannot be read'
  if (fragment.length > mostLink) throw new Error('the code in the link is too long')
  let bytes
  try {
    const text = atob(fragment.slice(begin.length).replaceAll('-', '+').replaceAll('_', '/'))
    bytes = Uint8Array.from(text, (c) => c.charCodeAt(0))
  } catch {
    throw new Error(damaged)
  }
  const reader = through(new Blob([bytes]), new DecompressionStream('deflate-raw')).getReader()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let code = ''
  try {
    for (let read; !(read = await reader.read()).done;) {
      code += decoder.decode(read.value, { stream: true })
      if (code.length > mostCode) break
    }
    code += code.length > mostCode ? '' : decoder.decode()
  } catch {
    throw new Error(damaged)
  }
  if (code.length > mostCode) {
    await reader.cancel()
    throw new Error('the code in the link is too long')
  }
  return code
}

/**
 * @param {Blob} blob
 * @param {CompressionStream | DecompressionStream} stream
 * @returns {ReadableStream<Uint8Array>}
 */
function through(blob, stream) {
  return blob.stream().pipeThrough(/** @type {any} */ (stream))
}
