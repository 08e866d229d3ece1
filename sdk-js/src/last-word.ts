/* The goodbye that the browser sends for a page that ends without an event: one that it discards, or that crashes. */

/** `fetchLater` of Chromium: sends a request once the page is no more. */
type FetchLater = (url: string, init: RequestInit) => unknown

/** A session that somebody is to end. */
export interface Ending {
  readonly session: string
  readonly token: string
}

/**
 * Makes a function that leaves the end of a session with the browser, in place of the one that it left before, and without
 * a session takes that back. Where the browser has no `fetchLater`, or forbids it, the gateway notices by itself.
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
      // It cannot know the cursor, so all that came counts as begun: as in a session that is lost, only at once.
      fetchLater(of.session, { method: 'DELETE', headers, credentials: 'omit', signal })
    } catch {
      // Of http: gateways elsewhere, and of many, the browser keeps none.
    }
  }
}
