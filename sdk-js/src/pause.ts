/** Waits that can be cut short, all at once. */
export class Pause {
  readonly #ends = new Set<() => void>()

  /** Waits for `ms`, or until `end`; without `ms` until `end` only. */
  wait(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#ends.delete(end)
        resolve()
      }
      const timer = ms === undefined ? ms : setTimeout(end, ms)
      this.#ends.add(end)
    })
  }

  /** Ends all current waits. */
  end(): void {
    for (const end of this.#ends) end()
  }
}
