/*
 * The goodbye that the browser sends for a page that ends without an event, because it was discarded or
 * crashed.
 */

/** `fetchLater` of Chromium: sends a request once the page is gone. */
type FetchLater = (url: string, init: RequestInit) => unknown

/** A session that may have to be ended. */
export interface Ending {
  readonly session: string
  readonly token: string
}

/**
 * Returns a function that asks the browser to end a session when the page is gone, in place of the session
 * named before; without a session it withdraws the request. Where the browser has no `fetchLater`, or forbids
 * it, the gateway notices by itself.
 */
export function lastWord(): (of?: Ending) => void {
  let left: string | undefined
  let controller: AbortController | undefined
  return (of) => {
    if (of?.session === left) return
    left = of?.session
    controller?.abort()
    const { fetchLater } = globalThis as { fetchLater?: FetchLater }
    if (!of || !fetchLater) return
    controller = new AbortController()
    const headers = { Authorization: `Bearer ${of.token}` }
    const { signal } = controller
    try {
      // The browser cannot know the cursor, so everything delivered counts as begun, as in a lost session,
      // but at once.
      fetchLater(of.session, { method: 'DELETE', headers, credentials: 'omit', signal })
    } catch {
      // The browser accepts no http: gateways elsewhere, and only a few requests.
    }
  }
}
