/*
 * A slow connection is not a dead one: only silence counts as dead. So time limits apply not to a
 * whole request, but to a time without progress. A program cannot see the progress of what it sends,
 * and allows it the time that the slowest line takes.
 *
 * A late timer means that this program or the machine was suspended. What came meanwhile has not been
 * read yet, so it waits a little more, a few times.
 */
import { graceMs, lateMs, mostGraces } from './bounds.js'

/** Calls a function when nothing came for a time. Returns a function that cancels this. */
export function patience(ms: number, over: () => void, keepsNode = true): () => void {
  let timer!: ReturnType<typeof setTimeout> & { unref?(): void }
  let graces = mostGraces
  const wait = (ms: number): void => {
    const dueMs = performance.now() + ms
    timer = setTimeout(() => {
      if (performance.now() - dueMs > lateMs && graces-- > 0) wait(graceMs)
      else over()
    }, ms)
    if (!keepsNode) timer.unref?.()
  }
  wait(ms)
  return () => clearTimeout(timer)
}
