import { Pause } from './pause.js'
import { postRaw } from './raw-post.js'
import type { Sending, Session } from './session.js'
import type { ResultStatus } from './envelope.js'

// In a page that speaks HTTP/1.1 such a request holds one of six connections for as long as its visitor likes: there
// is one, the next waits a little for it to end, and goes in parts else.
const turnMs = 1_000

/** The size of the smallest Blob that did not pass. */
const refusedBytes = new WeakMap<Session, number>()
const turn = new Pause()
let open = 0

/** Sends a Blob as all that follows the head. */
export async function rawBlob(of: Sending, blob: Blob): Promise<ResultStatus | undefined> {
  const { session, request, signal, part, report } = of
  const alone = globalThis.location && request.responseUrl.startsWith('http:')
  const endMs = performance.now() + turnMs
  for (let leftMs; alone && open && (leftMs = endMs - performance.now()) > 0;) {
    await turn.wait(leftMs)
  }
  const tried = blob.size < (refusedBytes.get(session) ?? Infinity) && !(alone && open)
  let failure: { cause: unknown } | undefined
  if (tried && !signal.aborted) {
    if (alone) session.lasting = ++open
    try {
      const answered = await postRaw(of, { body: blob })
      return answered?.status ?? 'late'
    } catch (cause) {
      failure = { cause }
    } finally {
      if (alone) session.lasting = --open
      turn.end()
    }
  }
  const { partBytes } = session.claimed.limits
  let result
  for (let at = 0; at < blob.size && !signal.aborted; at += partBytes) {
    const piece = new Uint8Array(await blob.slice(at, at + partBytes).arrayBuffer())
    result = await part(piece, at + partBytes < blob.size)
    if (result !== 'accepted' && result !== 'duplicate') {
      // It had begun to come through, and was cut.
      if (failure && !at && !signal.aborted) report('network', request, failure.cause)
      break
    }
    // Parts come through where one request did not.
    if (failure) refusedBytes.set(session, blob.size)
  }
  return result
}
