/** What a page's life means for a claim. */
export interface PageEvents {
  hide(): void
  show(): void
  wake(): void
}

/** Follows the life of the page until the signal aborts. In a Worker or Node there is little to follow. */
export function followPage(events: PageEvents, signal: AbortSignal): void {
  const listen = (target: EventTarget | undefined, type: string, then: (e: Event) => void): void =>
    target?.addEventListener?.(type, then, { signal })
  const wake = (): void => events.wake()
  const page = globalThis as unknown as EventTarget
  listen(page, 'online', wake)
  // The document, not the window: Page Lifecycle events do not bubble.
  listen(globalThis.document, 'resume', wake)
  listen(page, 'pagehide', () => events.hide())
  // Only a page that comes back from the back/forward cache was hidden before.
  listen(page, 'pageshow', (e) => {
    if ((e as PageTransitionEvent).persisted) events.show()
  })
}
