/** What follows a signal, by one listener: Node warns of a signal that has eleven. */
class Followers extends Set<() => void> {
  handleEvent(): void {
    for (const then of this) then()
  }
}

const all = new WeakMap<AbortSignal, Followers>()

/**
 * Calls a function when a signal aborts, at once where it has. The signal holds the function, and
 * whatever that refers to, until what this returns is called: call it when there is nothing left to abort.
 */
export function onAbort(signal: AbortSignal | undefined, then: () => void): () => void {
  if (signal?.aborted) then()
  if (!signal || signal.aborted) return () => {}
  const followers = all.get(signal) ?? new Followers()
  all.set(signal, followers)
  followers.add(then)
  // The same again changes nothing.
  signal.addEventListener('abort', followers)
  return () => {
    if (followers.delete(then) && !followers.size) signal.removeEventListener('abort', followers)
  }
}
