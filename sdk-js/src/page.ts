/** What a page's life means for a claim. */
export interface PageEvents {
  hide(): void
  show(): void
  wake(): void
  lack(): void
}

/** Follows the life of the page until the signal aborts. In a Worker or Node there is little to follow. */
export function followPage(events: PageEvents, signal: AbortSignal): void {
  const listen = (target: EventTarget | undefined, type: string, then: () => void): void =>
    target?.addEventListener?.(type, then, { signal })
  const page = globalThis as unknown as EventTarget
  // A page in the back/forward cache is frozen, too; only the first event of each way counts.
  let away = false
  const leave = (): void => {
    if (!away) events.hide()
    away = true
  }
  const comeBack = (): void => {
    if (away) events.show()
    away = false
  }
  listen(page, 'online', () => events.wake())
  listen(page, 'offline', () => events.lack())
  listen(page, 'pagehide', leave)
  listen(page, 'pageshow', comeBack)
  // The document, not the window: Page Lifecycle events do not bubble.
  listen(globalThis.document, 'freeze', leave)
  listen(globalThis.document, 'resume', () => (away ? comeBack() : events.wake()))
}
