/*
 * An answer raw: much content, in one request that lasts instead of a part after the other: no base64, no wait for
 * an answer to each. It is for content whose first piece is full, so that it will not be silent for
 * long, and where a request may stream its content: in Node, and in Chromium over HTTP/2. Whether it
 * may, and whether what is between takes much in one request, is asked once a session, with a request
 * that has nothing to lose. Where one was cut or refused all the same, by a proxy that takes only so
 * much, the session has parts from then on.
 */
import type { Raw, Session } from './session.js'
import type { Request, Result, Results, ResultStatus } from './envelope.js'

// The answer comes when the visitor has all of it. As long as a timer can wait.
const waitMs = 0x7fff_ffff
// A little more than what proxies let a request have at most unless told otherwise: 1 MiB.
const probeBytes = 0x11_0000

/** Sends what follows the beginning of an answer, where that is worth it and can be. */
export function raw(
  session: Session,
  request: Request,
  signal: AbortSignal,
  report: (code: string, request: Request, cause: unknown) => void,
): Raw {
  let pieces = 0
  let worth = false
  let writer: WritableStreamDefaultWriter<Uint8Array> | undefined
  let posted: Promise<ResultStatus> | undefined
  let over: ResultStatus | undefined
  let proceed: (() => void) | undefined
  return async (piece, more) => {
    pieces++
    if (pieces === 1) worth = more && piece.length >= session.claimed.limits.partBytes
    // Only what no part came before.
    if (pieces === 2 && worth && more && (await streamsUp(session))) {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      writer = writable.getWriter()
      // Its failure is seen in what is posted.
      writer.closed.catch(() => {})
      posted = post<Result>(
        session,
        request.responseUrl,
        readable,
        'application/octet-stream',
        signal,
      ).then(
        (result) => result?.status ?? 'late',
        (cause) => {
          // Something in between may have kept all of it: the gateway is to be told that it ends.
          known.set(session, Promise.resolve(false))
          if (!signal.aborted) report('network', request, cause)
          return 'invalid'
        },
      )
      void posted.then((result) => {
        over = result
        proceed?.()
      })
    }
    if (!writer) return undefined
    const written = writer.write(piece)
    // Not a race of promises: the one that lasts would remember each of them.
    await new Promise<void>((resolve) => {
      proceed = resolve
      // Where it cannot be written, what is posted is over soon.
      written.then(resolve, () => {})
      if (over) resolve()
    })
    const result = over ?? 'accepted'
    if (more || result !== 'accepted') return result
    writer.close().catch(() => {})
    return posted
  }
}

const known = new WeakMap<Session, Promise<boolean>>()

/** Tells whether a request may stream its content, and much of it. */
function streamsUp(session: Session): Promise<boolean> {
  let able = known.get(session)
  if (!able) known.set(session, (able = attempt(session)))
  return able
}

async function attempt(session: Session): Promise<boolean> {
  // Where Request takes no stream (Firefox, Safari) it would make a text of it.
  if (!('duplex' in globalThis.Request.prototype)) return false
  const { responses, limits } = session.claimed
  const nothing = '{"messages":[]}'.padEnd(Math.min(probeBytes, limits.answerBytes))
  try {
    const content = new Blob([nothing]).stream()
    const answered = await post<Results>(session, responses, content, 'application/json')
    return answered?.results.length === 0
  } catch {
    return false
  }
}

function post<T>(
  session: Session,
  url: string,
  body: ReadableStream<Uint8Array>,
  type: string,
  signal?: AbortSignal,
): Promise<T | undefined> {
  return session.call<T>('POST', url, {
    headers: { 'Content-Type': type },
    // Without the last two Node keeps a copy of all of it, for a redirect.
    init: { body, duplex: 'half', redirect: 'error', window: null } as RequestInit,
    signal,
    ...(signal && { waitMs }),
  })
}
