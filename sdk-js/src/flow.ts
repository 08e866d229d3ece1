/*
 * A streamed answer on a link: its pieces go while there is room, and none waits for what the gateway says to the one
 * before. Another way is taken once the gateway has all of that: piece by piece is posted, small ones with those of
 * other answers, after the end of the link, and where others left no room. Nobody waits for their visitors.
 */
import { onAbort } from './abort.js'
import { sendBlob } from './blob.js'
import { lateMs, mayGather, smallBytes, together } from './together.js'
import type { Beside, Message } from './message.js'
import type { Flow, Sending, Way } from './session.js'
import type { Part, Response } from './envelope.js'

// Some of them are on their way at once.
const mostBytes = 65_536

/**
 * Has an answer send its pieces by the link that its session has, and as before where there is none; a Blob in one
 * request. Returns what waits until the gateway has said something to all of them.
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
        // What this one has on its way ends the wait.
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

  /** Posts a piece: with those of others where it is small, unless its visitor is slow. */
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
