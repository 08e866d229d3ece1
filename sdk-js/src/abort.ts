/** Callbacks for a signal that share one listener, since Node warns about a signal with eleven. */
class Followers extends Set<() => void> {
  handleEvent(): void {
    for (const then of this) then()
  }
}

const all = new WeakMap<AbortSignal, Followers>()

/**
 * Calls a function when a signal aborts, or at once if it has aborted. Returns a function that
 * unsubscribes: call it when there is nothing left to abort, since the signal keeps the callback and all
 * that it refers to in memory until then.
 */
export function onAbort(signal: AbortSignal | undefined, then: () => void): () => void {
  if (signal?.aborted) then()
  if (!signal || signal.aborted) return () => {}
  const followers = all.get(signal) ?? new Followers()
  all.set(signal, followers)
  followers.add(then)
  // A second call changes nothing.
  signal.addEventListener('abort', followers)
  return () => {
    if (followers.delete(then) && !followers.size) signal.removeEventListener('abort', followers)
  }
}
