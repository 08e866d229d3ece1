// A real Chromium, headless, with a profile of its own.
import { chromium } from 'playwright-core'
import { inCI } from './steps/ci.js'
import { findBrowser } from './program.js'

const executablePath = await findBrowser()

/** Why tests that need a browser cannot run here; false where they can, and in CI, where they fail instead. */
export const noBrowser = !executablePath && !inCI && 'there is no Chromium here'

/** Starts a browser. Every context of it is a profile that knows nothing of the others. */
export function startBrowser() {
  if (!executablePath) throw new Error('there is no Chromium here')
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
