/*
 * Content whose length is known: a Blob, a File, bytes or a text. It goes as it is, with its length,
 * while a stream goes as it comes and must never wait for its end. A Response does not tell which it
 * has, for its `body` is a stream either way. So `Response` is wrapped when this module is loaded, and
 * notes what it is made of. Where that is not noted, as of what `clone`, `json` and `fetch` give, the
 * content is a stream.
 */
import { wholeBytes } from './bounds.js'
import type { Parts } from './parts.js'

/** Responses of much content that is all there, and the Blob where it is no text. */
const known = new WeakMap<Response, Blob | undefined>()

globalThis.Response = new Proxy(Response, {
  construct(target, [body, ...init]: [BodyInit?, ResponseInit?], wrapped) {
    const much = sizeOf(body) > wholeBytes
    // A Response copies bytes, and would once more for a Blob of them; text would lose its type.
    const content = much && typeof body === 'object' ? toBlob(body as Blob | BufferSource) : body
    const response = Reflect.construct(target, [content, ...init], wrapped) as Response
    if (much) known.set(response, content instanceof Blob ? content : undefined)
    return response
  },
})

const toBlob = (body: Blob | BufferSource): Blob => (body instanceof Blob ? body : new Blob([body]))

/** The size of what is all there, in bytes or characters; else 0. */
function sizeOf(body: BodyInit | undefined): number {
  if (body instanceof Blob) return body.size
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return body.byteLength
  return typeof body === 'string' ? body.length : 0
}

/** Takes the content of a Response where it is known, and much: a Blob is not read for that. */
export async function knownContent(response: Response): Promise<Parts | undefined> {
  if (!known.has(response)) return undefined
  const kept = known.get(response)
  // A Response gives its content once.
  if (kept) await response.body!.cancel()
  const blob = kept ?? (await response.blob())
  return {
    whole: undefined,
    size: blob.size,
    pour: (_, take) => take(blob, false),
    cancel() {},
  }
}
