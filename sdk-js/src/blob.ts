/*
 * Sends a Blob as the content of an answer in one message, which the gateway relays as it comes, with its
 * Content-Length. Browsers send a Blob several times as fast as anything else, and do not read it into the page.
 *
 * An intermediary may refuse it: nginx allows 1 MiB by default. The visitor has received nothing then, so the Blob
 * is sent in parts, and so are others in the session that are as large.
 */
import { Pause } from './pause.js'
import type { Sending, Session } from './session.js'
import type { Results, ResultStatus } from './envelope.js'

// In a page that speaks HTTP/1.1 such a request holds one of six connections for as long as its visitor likes. So
// there is one at a time; the next waits briefly for it to end, and is otherwise sent in parts.
const turnMs = 1_000
// The answer comes when the visitor has all of it. This is the longest time of a timer.
const waitMs = 0x7fff_ffff

/** The size of the smallest Blob that was refused. */
const refusedBytes = new WeakMap<Session, number>()
const turn = new Pause()
let open = 0

/** Sends a Blob as the whole content of an answer. */
export async function sendBlob(of: Sending, blob: Blob): Promise<ResultStatus | undefined> {
  const { session, request, answer, signal, part, report } = of
  const { framed, claimed } = session
  const { partBytes } = claimed.limits
  const alone = globalThis.location && claimed.responses.startsWith('http:')
  const tried = framed && blob.size < (refusedBytes.get(session) ?? Infinity)
  const endMs = performance.now() + turnMs
  for (let leftMs; tried && alone && open && (leftMs = endMs - performance.now()) > 0;) {
    await turn.wait(leftMs)
  }
  let failure: { cause: unknown } | undefined
  if (tried && !(alone && open) && !signal.aborted) {
    if (alone) session.lasting = ++open
    const line = JSON.stringify({ ...answer, contentLength: blob.size })
    try {
      const answered = await session.call<Results>('POST', claimed.responses, {
        framed: framed([line], [blob]),
        signal,
        waitMs,
      })
      const status = answered?.results?.[0]?.status ?? 'late'
      // Not found, and a fault of the head, recur when sent in parts, which handles them.
      if (status !== 'unknown' && status !== 'invalid') return status
    } catch (cause) {
      failure = { cause }
    } finally {
      if (alone) session.lasting = --open
      turn.end()
    }
  }
  let result
  for (let at = 0; at < blob.size && !signal.aborted; at += partBytes) {
    const piece = new Uint8Array(await blob.slice(at, at + partBytes).arrayBuffer())
    result = await part(piece, at + partBytes < blob.size)
    if (result !== 'accepted' && result !== 'duplicate') {
      // It had begun to arrive, and was cut.
      if (failure && !at && !signal.aborted) report('network', request, failure.cause)
      break
    }
    // Parts pass where one request did not.
    if (failure) refusedBytes.set(session, blob.size)
  }
  return result
}
