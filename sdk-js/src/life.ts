import { followPermissions } from './local-network.js'

/** What polls for a claim. */
export interface Polling {
  /** Its page is hidden away or frozen. */
  hidden: boolean | undefined
  readonly current: { end(keepalive: boolean): Promise<void> }
  readonly events: { state(state: 'reconnecting'): void }
  wake(): void
  lack(message: string): void
}

/** Follows the life of the page until the signal aborts. In a Worker there is little to follow. */
export function followPage(poller: Polling, signal: AbortSignal): void {
  const listen = (target: EventTarget | undefined, type: string, then: () => void): void =>
    target?.addEventListener?.(type, then, { signal })
  const page = globalThis as unknown as EventTarget
  // It leaves its session, for it may never come back. A page in the back/forward cache is frozen, too; only the first
  // event of each way counts.
  const leave = (): void => {
    if (poller.hidden) return
    poller.hidden = true
    poller.current.end(true).catch(() => {})
    poller.events.state('reconnecting')
    poller.wake()
  }
  const comeBack = (): void => {
    if (!poller.hidden) return
    poller.hidden = false
    poller.wake()
  }
  followPermissions(() => poller.hidden || poller.wake(), signal)
  listen(page, 'online', () => poller.wake())
  listen(page, 'offline', () => poller.hidden || poller.lack('the browser is offline'))
  listen(page, 'pagehide', leave)
  listen(page, 'pageshow', comeBack)
  // The document, not the window: Page Lifecycle events do not bubble.
  listen(globalThis.document, 'freeze', leave)
  listen(globalThis.document, 'resume', () => (poller.hidden ? comeBack() : poller.wake()))
}
