import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits until a function returns a truthy value, and returns that. Rejects if it does not in time.
 */
export async function until(so, what, withinMs = 600_000) {
  for (const endMs = performance.now() + withinMs; ; await sleep(20)) {
    const is = await so()
    if (is) return is
    if (performance.now() > endMs) throw new Error(`not in ${withinMs} ms: ${what}`)
  }
}
