/** Calls a function once when a signal aborts, at once where it has; not after another one aborted. */
export function onAbort(
  signal: AbortSignal | undefined,
  then: () => void,
  until?: AbortSignal,
): void {
  if (signal?.aborted) then()
  else signal?.addEventListener('abort', then, { signal: until! })
}
