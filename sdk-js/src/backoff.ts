const firstMs = 200
const mostMs = 30_000
// What a gateway may ask for at most; beyond an hour a person should look.
const mostAskedMs = 3_600_000

/**
 * How long to wait before the next try: at random up to a bound that doubles from 0.2 s to 30 s, so
 * that the programs of a gateway that restarts do not come back all at once.
 */
export class Backoff {
  #boundMs = firstMs

  /** The next wait; at least what the gateway asks for, with the jitter on top. */
  next(askedMs = 0): number {
    const jitterMs = Math.random() * this.#boundMs
    this.#boundMs = Math.min(this.#boundMs * 2, mostMs)
    return Math.min(askedMs, mostAskedMs) + jitterMs
  }

  /** Begins anew, after a success. */
  reset(): void {
    this.#boundMs = firstMs
  }
}

/** The milliseconds of a Retry-After field (RFC 9110, 10.2.3: seconds or a date); 0 without one. */
export function retryAfterMs(value: string | null): number {
  const ms = Number(value) * 1000 || Date.parse(value!) - Date.now()
  return ms > 0 ? ms : 0
}
