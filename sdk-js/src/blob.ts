/*
 * A Blob as the content of an answer: one message, which the gateway relays with its Content-Length while it
 * comes. Browsers send it several times as fast as anything else, and do not read it into the page.
 *
 * What is between may not let it pass: nginx takes 1 MiB unless told otherwise. Then the visitor has nothing of
 * it yet, and it goes in parts after all, as does what is as large in that session.
 */
import { Pause } from './pause.js'
import type { Sending, Session } from './session.js'
import type { Results, ResultStatus } from './envelope.js'

// In a page that speaks HTTP/1.1 such a request holds one of six connections for as long as its visitor likes: there
// is one, the next waits a little for it to end, and goes in parts else.
const turnMs = 1_000
// The answer comes when the visitor has all of it. As long as a timer can wait.
const waitMs = 0x7fff_ffff

/** The size of the smallest Blob that did not pass. */
const refusedBytes = new WeakMap<Session, number>()
const turn = new Pause()
let open = 0

/** Sends a Blob as all the content of an answer. */
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
      // What was not found, or is a fault of the head, is the same in parts: there it is known what to do.
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
      // It had begun to come through, and was cut.
      if (failure && !at && !signal.aborted) report('network', request, failure.cause)
      break
    }
    // Parts come through where one request did not.
    if (failure) refusedBytes.set(session, blob.size)
  }
  return result
}
