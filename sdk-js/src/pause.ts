/** Waits that can be cut short, all at once. */
export class Pause {
  readonly #ends = new Set<() => void>()

  /** Waits for `ms`, or until the end; without `ms` for the end only. */
  async wait(ms?: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    let ended!: () => void
    await new Promise<void>((end) => {
      this.#ends.add((ended = end))
      if (ms !== undefined) timer = setTimeout(end, ms)
    })
    clearTimeout(timer)
    this.#ends.delete(ended)
  }

  /** Ends the waits there are. */
  end(): void {
    for (const end of this.#ends) end()
  }
}
