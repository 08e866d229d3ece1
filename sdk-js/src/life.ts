import { onWake } from './drift.js'
import { lastWord } from './last-word.js'
import { waitInLine } from './leader.js'
import { followPermissions } from './local-network.js'

/** Polls for a claim. */
export interface Polling {
  /** Does not poll: its page is in the back/forward cache or frozen, or another tab serves. */
  hidden: boolean | undefined
  readonly current: {
    readonly claimed: { claim: string; cursor: string; session: string; token: string }
    readonly cursor: string
    readonly ways: { standby?: boolean | undefined; fetch?: unknown }
    end(lastly?: Record<string, string>): Promise<void>
  }
  readonly events: { state(state: 'reconnecting' | 'standby'): void; session(): void }
  wake(): void
  lack(message: string): void
}

/**
 * Follows the lifecycle of the page, and the other tabs of its origin, until the signal aborts. In a Worker
 * there is little to follow.
 */
export function followPage(poller: Polling, signal: AbortSignal): void {
  const listen = (
    target: EventTarget | undefined,
    type: string,
    then: (event: Event) => void,
  ): void => target?.addEventListener?.(type, then, { signal })
  const page = globalThis as unknown as EventTarget
  const { claimed, ways } = poller.current
  const { session } = poller.events
  const leaveWord = lastWord()
  // A program's own fetch may know a way that the browser does not.
  const newSession = (): void => (ways.fetch ? undefined : leaveWord(poller.current.claimed))
  let away = false
  let inLine = new AbortController()
  const hush = (state: 'reconnecting' | 'standby'): void => {
    leaveWord()
    if (!poller.hidden) {
      poller.hidden = true
      poller.wake()
    }
    poller.events.state(state)
  }
  const serve = (): void => {
    if (away) return
    newSession()
    if (!poller.hidden) return
    poller.hidden = false
    poller.wake()
  }
  const standBy = (): void => {
    const { current } = poller
    hush('standby')
    // Begun exchanges may still be answered; the gateway ends such a session by itself.
    if (current.cursor === claimed.cursor) current.end().catch(() => {})
  }
  const queue = (): void => {
    inLine = new AbortController()
    if (ways.standby === false) serve()
    else void waitInLine(`reversehttp ${claimed.claim}`, { lead: serve, standBy }, inLine.signal)
  }
  // The page leaves its session, since it may never come back, and its place in line, since a page that holds
  // a lock does not enter the back/forward cache. A page in that cache is frozen too; only the first event in
  // each direction counts.
  const leave = ({ type, persisted }: Partial<PageTransitionEvent>): void => {
    if (away) return
    away = true
    const { hidden } = poller
    hush('reconnecting')
    // A page that is not cached may be reloading: visitors wait a little for it.
    const prefer = type === 'pagehide' && !persisted ? { Prefer: 'wait=5' } : {}
    if (!hidden) poller.current.end(prefer as Record<string, string>).catch(() => {})
    inLine.abort()
  }
  const comeBack = (): void => {
    if (!away) return
    away = false
    queue()
  }
  if (signal.aborted) return
  poller.events.session = () => {
    session()
    newSession()
  }
  queue()
  signal.addEventListener('abort', () => {
    inLine.abort()
    leaveWord()
  })
  followPermissions(() => poller.hidden || poller.wake(), signal)
  onWake(() => poller.hidden || poller.wake(), signal)
  listen(page, 'online', () => poller.wake())
  listen(page, 'offline', () => poller.hidden || poller.lack('the browser is offline'))
  listen(page, 'pagehide', leave)
  listen(page, 'pageshow', comeBack)
  // The document, not the window: Page Lifecycle events do not bubble.
  listen(globalThis.document, 'freeze', leave)
  listen(globalThis.document, 'resume', () => (away ? comeBack() : poller.wake()))
}
