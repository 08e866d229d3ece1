/*
 * Polls by a link. It has a head start; then a poll runs beside until it is open, for something between may swallow the
 * handshake, and Firefox keeps it waiting while as many requests are parked as it has connections.
 *
 * Where a link did not open, fell silent or was cut at once none is tried for some minutes, unless polls fail too or
 * the network or the page is back.
 */
import { onAbort } from './abort.js'
import { Link } from './link.js'
import type { Heard, Session } from './session.js'
import type { Batch } from './envelope.js'

const againMs = 300_000

/** The link of each session that is opening or open. */
const links = new WeakMap<Session, Link>()

/** When each session may ask for one again, on the clock of performance.now(). */
const linkFromMs = new WeakMap<Session, number>()

/** Stops following the signal of the newest poll of each session. */
const unfollow = new WeakMap<Session, () => void>()

/** Polls once by the link of a session, where it has one or may try; else in another way. What came by it is in no batch. */
export async function byLink(
  session: Session,
  signal: AbortSignal,
  heard: Heard,
  otherwise: (signal: AbortSignal) => Promise<Batch | undefined>,
): Promise<Batch | undefined> {
  const follow = (): void => {
    linkFromMs.delete(session)
    links.get(session)?.close()
  }
  // Also between polls: a link that opens beside them may be there.
  unfollow.get(session)?.()
  unfollow.set(session, onAbort(signal, follow))
  const link = links.get(session) ?? open(session, heard)
  await link?.headStart(signal)
  if (!link?.open) {
    const beside = new AbortController()
    const abort = (): void => beside.abort()
    const end = onAbort(signal, abort)
    void link?.opened.then(() => link.open && abort())
    try {
      return await otherwise(beside.signal)
    } catch (e) {
      signal.throwIfAborted()
      // It was not the link alone that did not come through.
      linkFromMs.delete(session)
      if (!link?.open) throw e
    } finally {
      end()
    }
  }
  await link.over
  signal.throwIfAborted()
  return undefined
}

function open(session: Session, heard: Heard): Link | undefined {
  const { WebSocket = globalThis.WebSocket, claimed } = session
  if (!WebSocket || !claimed.link || performance.now() < (linkFromMs.get(session) ?? 0)) return
  const ended = (useless: boolean): void => {
    links.delete(session)
    if (useless) linkFromMs.set(session, performance.now() + againMs)
  }
  try {
    const link = new Link(session, new WebSocket(claimed.link, 'reversehttp.1'), heard, ended)
    links.set(session, link)
    return link
  } catch {
    // A page of https: may not open ws:.
    ended(true)
    return undefined
  }
}
