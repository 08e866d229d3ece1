/*
 * Polls by a link. The link gets a head start; then a poll runs in parallel until it connects, because an intermediary may
 * swallow the handshake, and Firefox delays it while as many requests are pending as it has connections. If that poll
 * replaced the link, because it reached the gateway later, links run without a parallel poll until one fails to open.
 *
 * If a link did not open, fell silent or was cut at once, none is tried for some minutes, unless polls fail as well, or
 * the network or the page is back.
 */
import { onAbort } from './abort.js'
import { Link } from './link.js'
import { vet } from './vet.js'
import type { Heard, Session } from './session.js'
import type { Batch } from './envelope.js'

const againMs = 300_000

/** The opening or open link of each session. */
const links = new WeakMap<Session, Link>()

/** When each session may try a link again, by performance.now(). */
const linkFromMs = new WeakMap<Session, number>()

/** The sessions whose links run without a parallel poll. */
const alone = new WeakSet<Session>()

/** Unsubscribes from the signal of the newest poll of each session. */
const unfollow = new WeakMap<Session, () => void>()

/**
 * Polls once by the link of a session if it has one or may try, and otherwise in another way. Messages by the link are not
 * in the returned batch.
 */
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
  // Also between polls, since a link may have opened in parallel.
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
      // Not only the link failed.
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
    // A page with an https: URL may not open ws:.
    ended(true)
    return undefined
  }
}
