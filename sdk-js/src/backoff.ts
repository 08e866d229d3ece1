const firstMs = 200
const mostMs = 30_000
// The longest wait that a gateway can ask for. After an hour a person should look.
const mostAskedMs = 3_600_000

/**
 * Computes how long to wait before the next try: a random time up to a bound that doubles from 0.2
 * s to 30 s, so that programs do not all return at once after a gateway restarts.
 */
export class Backoff {
  #boundMs = firstMs

  /** Returns the next wait: at least what the gateway asks for, plus the jitter. */
  next(askedMs = 0): number {
    const jitterMs = Math.random() * this.#boundMs
    this.#boundMs = Math.min(this.#boundMs * 2, mostMs)
    return Math.min(askedMs, mostAskedMs) + jitterMs
  }

  /** Resets the bound after a success. */
  reset(): void {
    this.#boundMs = firstMs
  }
}

/**
 * Returns the milliseconds in a Retry-After field (RFC 9110, 10.2.3: seconds or a date), or 0
 * without one.
 */
export function retryAfterMs(value: string | null): number {
  const ms = Number(value) * 1000 || Date.parse(value!) - Date.now()
  return ms > 0 ? ms : 0
}
