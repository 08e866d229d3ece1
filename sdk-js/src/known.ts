/*
 * Content of known length: a Blob, a File, bytes or text. It is sent with its length, while a stream is sent
 * as it arrives and must never wait for its end. A Response does not reveal which it has, since its `body` is
 * a stream either way. So this module wraps `Response` when it is loaded, and notes what each is made of.
 * Without a note, as after `clone`, `json` and `fetch`, the content is a stream.
 */
import { wholeBytes } from './bounds.js'
import type { Parts } from './parts.js'

/** Responses with much content of known size, and the Blob if it is not text. */
const known = new WeakMap<Response, Blob | undefined>()

globalThis.Response = new Proxy(Response, {
  construct(target, [body, ...init]: [BodyInit?, ResponseInit?], wrapped) {
    const much = sizeOf(body) > wholeBytes
    // A Response copies bytes, and a Blob would copy them again; text would lose its type.
    const content = much && typeof body === 'object' ? toBlob(body as Blob | BufferSource) : body
    const response = Reflect.construct(target, [content, ...init], wrapped) as Response
    if (much) known.set(response, content instanceof Blob ? content : undefined)
    return response
  },
})

const toBlob = (body: Blob | BufferSource): Blob => (body instanceof Blob ? body : new Blob([body]))

/** Returns the size of content of known size, in bytes or characters, and otherwise 0. */
function sizeOf(body: BodyInit | undefined): number {
  if (body instanceof Blob) return body.size
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return body.byteLength
  return typeof body === 'string' ? body.length : 0
}

/** Takes the content of a Response if it is large and of known size, without reading a Blob. */
export async function knownContent(response: Response): Promise<Parts | undefined> {
  if (!known.has(response)) return undefined
  const kept = known.get(response)
  // The content of a Response can be read once.
  if (kept) await response.body!.cancel()
  const blob = kept ?? (await response.blob())
  return {
    whole: undefined,
    size: blob.size,
    pour: (_, take) => take(blob, false),
    cancel() {},
  }
}
