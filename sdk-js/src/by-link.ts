/*
 * Polls by a link. It has a head start; then a poll runs beside until it connects, for something between may swallow the
 * handshake, and Firefox keeps it waiting while as many requests are parked as it has connections. Where that poll took
 * the place of the link all the same, for it came to the gateway later, links have no poll beside them any more, until one
 * does not open.
 *
 * Where a link did not open, fell silent or was cut at once none is tried for some minutes, unless polls fail too or
 * the network or the page is back.
 */
import { onAbort } from './abort.js'
import { Link } from './link.js'
import { vet } from './vet.js'
import type { Heard, Session } from './session.js'
import type { Batch } from './envelope.js'

const againMs = 300_000

/** The link of each session that is opening or open. */
const links = new WeakMap<Session, Link>()

/** When each session may ask for one again, on the clock of performance.now(). */
const linkFromMs = new WeakMap<Session, number>()

/** The sessions whose links are to have no poll beside them. */
const alone = new WeakSet<Session>()

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
  for (;;) {
    const link = links.get(session) ?? open(session, heard)
    await link?.headStart()
    signal.throwIfAborted()
    if (link?.open || link?.replaced || link?.refused) {
      await link.over
      signal.throwIfAborted()
      return undefined
    }
    const beside = new AbortController()
    const abort = (): void => beside.abort()
    const end = onAbort(signal, abort)
    const polled = otherwise(beside.signal)
    let left = false
    if (link) {
      link.beside = () => {
        left = true
        abort()
        return polled.catch(() => {})
      }
    }
    try {
      return await polled
    } catch (e) {
      signal.throwIfAborted()
      if (left) continue
      // It was not the link alone that did not come through.
      linkFromMs.delete(session)
      throw e
    } finally {
      end()
    }
  }
}

function open(session: Session, heard: Heard): Link | undefined {
  const { claimed } = session
  const { fetch, WebSocket = fetch ? null : globalThis.WebSocket } = session.ways
  if (!WebSocket || !claimed.link) return
  if (performance.now() < (linkFromMs.get(session) ?? 0)) return
  vet(claimed, session.ways.at)
  const ended = (useless: boolean): void => {
    const link = links.get(session)
    links.delete(session)
    if (useless) {
      linkFromMs.set(session, performance.now() + againMs)
      alone.delete(session)
    } else if (link?.replaced && link.beside) alone.add(session)
  }
  try {
    const socket = new WebSocket(claimed.link, 'reversehttp.1')
    const link = new Link(session, socket, heard, alone.has(session), ended)
    links.set(session, link)
    return link
  } catch {
    // A page of https: may not open ws:.
    ended(true)
    return undefined
  }
}
