import { postRaw } from './raw-post.js'
import type { Way } from './parts.js'
import type { Sending, Session } from './session.js'
import type { ResultStatus } from './envelope.js'

// Kept until so much got through: what proxies take, and what is on its way until they say so.
const keptBytes = 0x40_0000

/** Whether one request brings much of a stream through. */
const passes = new WeakMap<Session, boolean>()

/** Sends the first piece as a part, then all that comes. */
export function rawStream(of: Sending): Way<Uint8Array> {
  const { session, signal, part, report, request } = of
  let pieces = 0
  let worth = false
  let writer: WritableStreamDefaultWriter<Uint8Array> | undefined
  let posted: Promise<ResultStatus | undefined> | undefined
  /** What was said to all of it, or why it failed. */
  let over: { result?: ResultStatus; cause?: unknown } | undefined
  let proceed: (() => void) | undefined
  /** What can be sent again, as parts. */
  let kept: Uint8Array[] | undefined = []
  let bytes = 0

  function begin(): WritableStreamDefaultWriter<Uint8Array> {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    // Its failure is seen in what is posted.
    writer.closed.catch(() => {})
    // Without the last two Node keeps a copy of all of it, for a redirect.
    const init = { body: readable, duplex: 'half', redirect: 'error', window: null } as RequestInit
    posted = postRaw(of, init).then(
      (result) => (over = { result: result?.status ?? 'late' }).result,
      (cause) => void (over = { cause }),
    )
    void posted.then(() => proceed?.())
    return writer
  }

  /** Sends as parts what was sent in vain, or says that it cannot be. */
  async function again(more: boolean): Promise<ResultStatus | undefined> {
    const cause = over!.cause
    if (signal.aborted) return undefined
    const all = kept
    kept = writer = undefined
    worth = false
    if (!all) {
      // Something in between may have kept all of it: the gateway is to be told that it ends.
      passes.set(session, false)
      report('network', request, cause)
      return 'invalid'
    }
    let result
    for (const [i, piece] of all.entries()) {
      result = await part(piece, more || i < all.length - 1)
      if (result !== 'accepted' && result !== 'duplicate') return result
      passes.set(session, false)
    }
    return result
  }

  return async (piece, more) => {
    pieces++
    if (pieces === 1) {
      // Where Request takes no stream (Firefox, Safari) it would make a text of it.
      const able = 'duplex' in globalThis.Request.prototype && passes.get(session) !== false
      worth = able && more && piece.length >= session.claimed.limits.partBytes
      if (passes.get(session)) kept = undefined
    }
    // Only what no part came before.
    if (pieces === 2 && worth && more) writer = begin()
    if (!writer) return part(piece, more)
    bytes += piece.length
    kept?.push(piece)
    const written = writer.write(piece)
    // Not a race of promises: the one that lasts would remember each of them.
    await new Promise<void>((resolve) => {
      proceed = resolve
      // Where it cannot be written, what is posted is over soon.
      written.then(resolve, () => {})
      if (over) resolve()
    })
    if (!over && bytes > keptBytes) {
      kept = undefined
      passes.set(session, true)
    }
    if (!over && !more) {
      writer.close().catch(() => {})
      await posted
    }
    if (!over) return 'accepted'
    return over.result ?? again(more)
  }
}
