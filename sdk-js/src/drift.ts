const lookMs = 5_000
// Timers of hidden tabs run once a minute, so they are late by less than this.
const sleptMs = 90_000

/**
 * Calls a function after the machine slept, until the signal aborts: the wall clock advanced while timers
 * were suspended. Connections from before are dead, which would otherwise be noticed late.
 */
export function onWake(then: () => void, signal: AbortSignal): void {
  let timer: ReturnType<typeof setTimeout>
  const look = (sinceMs: number): void => {
    timer = setTimeout(() => {
      if (Date.now() - sinceMs > sleptMs) then()
      look(Date.now())
    }, lookMs)
  }
  look(Date.now())
  signal.addEventListener('abort', () => clearTimeout(timer))
}
