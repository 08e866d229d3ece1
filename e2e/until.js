import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until something is so, and gives it; rejects when it is not so in time. */
export async function until(so, what, withinMs = 600_000) {
  for (const endMs = performance.now() + withinMs; ; await sleep(20)) {
    const is = await so()
    if (is) return is
    if (performance.now() > endMs) throw new Error(`not in ${withinMs} ms: ${what}`)
  }
}
