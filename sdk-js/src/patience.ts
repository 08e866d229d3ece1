/*
 * Slowness is not death: what is dead gives no sign of life, and nothing else is taken for that. So no
 * time is for all of a request, but for nothing of it to move. Of what is sent a program sees nothing
 * move, and gives it the time that the slowest line takes.
 *
 * A timer that is late tells that this program stood still, or the machine: what came meanwhile is not
 * read yet, so it waits a little more, a few times.
 */
import { graceMs, lateMs, mostGraces } from './bounds.js'

/** Calls a function when nothing came for a time, unless what this returns is called before. */
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
