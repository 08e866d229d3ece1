/*
 * One tab of an origin serves a claim: the one that holds its Web Lock. The others stand by, and the next takes over when
 * it goes. A lock is never stolen: a tab that holds it and does not answer is for the gateway to find out.
 */

/** The locks that this page holds or waits for: two claims of one label in one page are two sessions. */
const own = new Set<string>()

/** Is told which place in the line a tab has. */
export interface Places {
  lead(): void
  standBy(): void
}

/**
 * Waits in line for the lock of that name until the signal aborts, and gives it up then. Where there are no locks, as in
 * a page without a secure context, every tab leads: each is a session of its own.
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
    // With a signal a request cannot be for what is available only.
    if (!signal.aborted) await locks.request(name, { signal }, lead)
  } catch {
    // Given up while it waited, or locks are forbidden, as in a sandbox.
    if (!signal.aborted) places.lead()
  }
}
