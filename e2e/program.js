// Programs of this machine. Only node builtins here: npm packages may not be installed yet.
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/** The path of a program, or undefined. */
export async function findProgram(name) {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    const path = name.includes('/') ? name : join(dir, name)
    try {
      await access(path, constants.X_OK)
      return path
    } catch {
      // It does not exist.
    }
  }
  return undefined
}

/** The path of a Chromium, or undefined. */
export function findBrowser() {
  return findAny(process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome')
}

/** The path of a Firefox, or undefined. */
export function findFirefox() {
  return findAny(process.env.FIREFOX, 'firefox-esr', 'firefox')
}

/** The path of the chosen program, or of the first of these that exists. */
async function findAny(chosen, ...names) {
  if (chosen) return findProgram(chosen)
  for (const name of names) {
    const path = await findProgram(name)
    if (path) return path
  }
  return undefined
}
