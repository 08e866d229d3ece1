const lookMs = 5_000
// Longer than timers of hidden tabs are late: those run once a minute.
const sleptMs = 90_000

/**
 * Calls a function when the machine slept, until the signal aborts: the clock of the day went on while timers stood
 * still. What was open then is dead, and would be noticed later.
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
