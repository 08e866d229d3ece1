/*
 * Streams an answer on a link: pieces are sent while there is room, without waiting for the result of the one before.
 * After the end of the link, or if other answers leave no room, pieces are posted one by one, small ones together
 * with those of other answers, once the gateway has all earlier pieces. No answer waits for the visitor of another.
 */
import { onAbort } from './abort.js'
import { sendBlob } from './blob.js'
import { lateMs, mayGather, smallBytes, together } from './together.js'
import type { Beside, Message } from './message.js'
import type { Flow, Sending, Way } from './session.js'
import type { Part, Response } from './envelope.js'

// Several pieces may be in flight.
const mostBytes = 65_536

/**
 * Makes an answer send its pieces by the link of its session, if there is one, and a Blob in one request. Returns a
 * function that waits for the results of all of them.
 */
export function flowing(of: Sending): () => Promise<unknown> {
  const { x, request, answer, signal, push, judge, part: byPost } = of
  const { id } = request
  const most = Math.min(mostBytes, x.by.claimed.limits.partBytes)
  let flow: Flow | undefined
  let next = 0
  let slow = false
  const sent = new Set<Promise<void>>()
  let abort!: () => void
  const aborted = new Promise<void>((resolve) => (abort = resolve))
  const settled = (): Promise<unknown> => Promise.race([Promise.all(sent), aborted])
  const end = onAbort(signal, () => {
    abort()
    flow?.link.changed.end()
  })
  of.part = async (piece, more, taken) => {
    try {
      return await (piece instanceof Blob ? sendBlob(of, piece) : part(piece, more, taken))
    } finally {
      // Nothing is left to abort, and a listener would keep all this in memory.
      if (!more) end()
    }
  }
  return settled

  async function part(
    piece: Uint8Array<ArrayBuffer>,
    more: boolean,
    taken?: () => void,
  ): ReturnType<Way> {
    const { link } = x.by
    if (!link || flow?.link !== link) {
      await settled()
      next = x.seq
      flow = link?.flow()
    }
    if (!flow) return posted(piece, more, taken)
    for (let at = 0, last = false; !last && !signal.aborted;) {
      const content = piece.subarray(at, at + Math.min(most, flow.window || most))
      if (!flow.link.open || !flow.link.fits(content.length, flow)) {
        // The pieces of this answer in flight end the wait.
        if (flow.link.open && flow.messages) {
          await flow.link.changed.wait()
          continue
        }
        await settled()
        if (signal.aborted) return undefined
        const said = await posted(piece.subarray(at), more, taken)
        next = x.seq
        return said
      }
      at += content.length
      last = at === piece.length
      const seq = next++
      const message: (Part | Response) & Beside = seq ? { type: 'part', id, seq } : answer
      if (content.length) message.content = content
      if (more || !last) message.more = true
      send(message, flow, last ? taken : undefined)
    }
    if (!more) await settled()
    return signal.aborted ? undefined : 'accepted'
  }

  /** Posts a piece, together with those of other answers if it is small and its visitor is not slow. */
  async function posted(
    piece: Uint8Array<ArrayBuffer>,
    more: boolean,
    taken?: () => void,
  ): ReturnType<Way> {
    const small = more && x.seq && piece.length && piece.length <= smallBytes
    if (small && !slow && mayGather(x.by)) {
      const said = await together(x.by, { type: 'part', id, seq: x.seq, content: piece, more })
      if (said === 'accepted' || said === 'duplicate') {
        x.seq++
        taken?.()
        return said
      }
    }
    const sinceMs = performance.now()
    const said = await byPost(piece, more, taken)
    slow = performance.now() - sinceMs > lateMs
    return said
  }

  function send(message: Message, flow: Flow, taken?: () => void): void {
    const judged = push(message, flow).then((said) => {
      sent.delete(judged)
      if (said === 'accepted' || said === 'duplicate') x.seq++
      judge(said)
      taken?.()
    })
    sent.add(judged)
  }
}
