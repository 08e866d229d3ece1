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
      // Not here.
    }
  }
  return undefined
}

/** The path of a Chromium, or undefined. */
export async function findBrowser() {
  if (process.env.CHROMIUM) return findProgram(process.env.CHROMIUM)
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const path = await findProgram(name)
    if (path) return path
  }
  return undefined
}
