import { module } from './built.js'

const sdk = new URL('.', module).href
const ofSDK = () => new Error().stack.includes(sdk)

/**
 * Stops the clock of the SDK until the end of the test: only tick advances its setTimeout and performance.now, however
 * slow the machine is. The clock of all other code, such as fetch, continues. Call it before the SDK serves.
 */
export function stopClock(t) {
  const { setTimeout, clearTimeout } = globalThis
  const now = performance.now.bind(performance)
  const waits = new Set()
  let nowMs = Math.ceil(now()) // whole, so that differences are exact
  globalThis.setTimeout = (then, ms = 0, ...of) => {
    if (!ofSDK()) return setTimeout(then, ms, ...of)
    const wait = { dueMs: nowMs + ms, then: () => then(...of), unref: () => wait }
    waits.add(wait)
    return wait
  }
  globalThis.clearTimeout = (wait) => void (waits.delete(wait) || clearTimeout(wait))
  performance.now = () => (ofSDK() ? nowMs : now())
  t.after(() => {
    Object.assign(globalThis, { setTimeout, clearTimeout })
    delete performance.now
  })
  return {
    /** Advances the clock. */
    tick(ms) {
      nowMs += ms
      for (const wait of [...waits].sort((a, b) => a.dueMs - b.dueMs)) {
        if (wait.dueMs <= nowMs && waits.delete(wait)) wait.then()
      }
    },
  }
}
