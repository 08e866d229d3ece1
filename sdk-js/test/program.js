import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { module } from './built.js'

const hangsMs = 600_000

/**
 * Runs a program that uses serve, and returns its output once it has ended by itself. Timers of a second or
 * more never fire in it: one that is left over keeps the program running, so tests need not know how long it
 * would take.
 */
export async function outputOf(program) {
  const whole = `
    import { serve } from ${JSON.stringify(module)}
    const { setTimeout } = globalThis
    globalThis.setTimeout = (f, ms, ...of) => setTimeout(f, ms < 1000 ? ms : 0x7fff_ffff, ...of)
    ${program}`
  const args = ['--input-type=module', '--eval', whole]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: hangsMs })
  return stdout
}
