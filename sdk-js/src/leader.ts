/*
 * One tab of an origin serves a claim: the one that holds its Web Lock. The others stand by, and the next one
 * takes over when it closes. A lock is never stolen: the gateway detects a tab that holds it but does not
 * answer.
 */

/** The locks that this page holds or waits for: two claims of one label in one page have two sessions. */
const own = new Set<string>()

/** Receives the place in line of a tab. */
export interface Places {
  lead(): void
  standBy(): void
}

/**
 * Waits in line for the lock of that name until the signal aborts, and releases it then. Where there are no
 * locks, as in a page without a secure context, every tab leads, each with its own session.
 */
export async function waitInLine(name: string, places: Places, signal: AbortSignal): Promise<void> {
  const { locks } = globalThis.navigator ?? {}
  if (!locks || own.has(name)) return places.lead()
  own.add(name)
  const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  void gone.then(() => own.delete(name))
  const lead = (): Promise<void> => {
    places.lead()
    return gone
  }
  try {
    await locks.request(name, { ifAvailable: true }, (lock) => (lock ? lead() : places.standBy()))
    // `ifAvailable` and `signal` exclude each other.
    if (!signal.aborted) await locks.request(name, { signal }, lead)
  } catch {
    // The wait was aborted, or locks are forbidden, as in a sandbox.
    if (!signal.aborted) places.lead()
  }
}
