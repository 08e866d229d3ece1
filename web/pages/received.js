/** A request that a handler has, as a recording of it: what the inbox keeps, and shows when the gateway has none. */
import { asText, toBase64 } from './content.js'

/** The largest content that is kept, in bytes; a webhook is seldom a hundredth of that. */
export const mostKept = 1024 * 1024

/**
 * Returns undefined where the content is too long.
 * @param {Request} request
 * @param {import('/sdk.js').Info} info
 * @returns {Promise<import('./recordings.js').Recording | undefined>}
 */
export async function received(request, info) {
  const content = await contentOf(info)
  if (!content) return undefined
  const { id, url, method, target, httpVersion, remoteAddr, headers, attempt } = info
  const text = asText(content)
  const body = text === undefined ? { bodyBase64: toBase64(content) } : { body: text }
  return {
    exchange: {
      id,
      url,
      method,
      target,
      httpVersion,
      remoteAddr,
      receivedAt: new Date().toISOString(),
      state: 'ended',
      attempt,
      requestBytes: content.length,
      responseBytes: 0,
    },
    request: { headers: [...headers], ...(content.length && body) },
    interims: [],
    deliveries: [],
    parts: [],
  }
}

/** @param {import('/sdk.js').Info} info */
async function contentOf({ body, content }) {
  if (!body) return content.length > mostKept ? undefined : content
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const chunks = []
  let length = 0
  const reader = body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > mostKept) {
      reader.cancel().catch(() => {})
      return undefined
    }
    chunks.push(new Uint8Array(value))
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer())
}
