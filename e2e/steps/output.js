// Where the output of a step goes: to ours, or for a while into memory, where another step writes to ours.
import { AsyncLocalStorage } from 'node:async_hooks'

const outputs = new AsyncLocalStorage()

/** The output of a step that runs beside another. */
export class KeptOutput {
  #chunks = []
  #shown = false

  /** Runs a step, whose output is kept until show. */
  keep(step) {
    return outputs.run(this, step)
  }

  /** Writes what was kept; what follows is written at once. */
  show() {
    this.#shown = true
    for (const chunk of this.#chunks.splice(0)) process.stdout.write(chunk)
  }

  write(chunk) {
    if (this.#shown) process.stdout.write(chunk)
    else this.#chunks.push(chunk)
  }
}

/** The output of the step that calls, or undefined where it writes to ours. */
export function keptOutput() {
  return outputs.getStore()
}

/** Writes text. */
export function write(text) {
  ;(keptOutput() ?? process.stdout).write(text)
}

/** Writes a line. */
export function say(line) {
  write(`${line}\n`)
}
