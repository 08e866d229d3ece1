/** A wait that can be cut short. */
export class Pause {
  #end: (() => void) | undefined

  /** Waits for `ms`, or until the end; without `ms` for the end only. */
  async wait(ms?: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    await new Promise<void>((end) => {
      this.#end = end
      if (ms !== undefined) timer = setTimeout(end, ms)
    })
    clearTimeout(timer)
  }

  /** Ends the wait, if there is one. */
  end(): void {
    this.#end?.()
  }
}
