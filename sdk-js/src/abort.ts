/**
 * Calls a function when a signal aborts, at once where it has. The signal holds the function, and
 * whatever that refers to, until what this returns is called: call it when there is nothing left to abort.
 */
export function onAbort(signal: AbortSignal | undefined, then: () => void): () => void {
  if (signal?.aborted) then()
  else signal?.addEventListener('abort', then)
  return () => signal?.removeEventListener('abort', then)
}
