// Real browsers, headless, each with a profile of its own.
import { chromium } from 'playwright-core'
import puppeteer from 'puppeteer-core'
import { inCI } from './steps/ci.js'
import { findBrowser, findFirefox } from './program.js'

const executablePath = await findBrowser()
const firefoxPath = await findFirefox()

/** A host that browsers resolve to this machine, though its name does not look local. */
export const elsewhere = 'evil.test'

/** The flags of every Chromium. */
export const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  `--host-resolver-rules=MAP ${elsewhere} 127.0.0.1`,
]

/** Why tests that need a browser cannot run here; false if they can, and in CI, where they fail instead. */
export const noBrowser = !executablePath && !inCI && 'there is no Chromium here'
export const noFirefox = !firefoxPath && !inCI && 'there is no Firefox here'

// How long each step in a page may take, also on a busy machine.
const patienceMs = 600_000

/** Starts a browser, with additional flags. Its contexts share nothing. */
export async function startBrowser(...flags) {
  if (!executablePath) throw new Error('there is no Chromium here')
  const all = [...args, ...flags]
  const browser = await chromium.launch({ executablePath, args: all, timeout: patienceMs })
  const open = browser.newContext.bind(browser)
  browser.newContext = async (options) => {
    const context = await open(options)
    context.setDefaultTimeout(patienceMs)
    return context
  }
  return browser
}

/** Starts Chromium with Puppeteer. Pages of Playwright always have the focus, and are thus never frozen. */
export async function startUnfocused() {
  if (!executablePath) throw new Error('there is no Chromium here')
  return patient(await puppeteer.launch({ executablePath, args, ...patience }))
}

const patience = { timeout: patienceMs, protocolTimeout: patienceMs }

/** Gives the pages of a browser or a context of Puppeteer the same timeouts as those of Playwright. */
function patient(of) {
  const open = of.newPage.bind(of)
  of.newPage = async () => {
    const page = await open()
    page.setDefaultTimeout(patienceMs)
    return page
  }
  return of
}

/**
 * Starts Firefox, by WebDriver BiDi. Its contexts and pages are Puppeteer's: tests for both browsers
 * use what these have in common with Playwright's.
 */
export async function startFirefox() {
  if (!firefoxPath) throw new Error('there is no Firefox here')
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: firefoxPath,
    extraPrefsFirefox: { 'network.dns.localDomains': elsewhere },
    ...patience,
  })
  return {
    newContext: async () => patient(await browser.createBrowserContext()),
    close: () => browser.close(),
  }
}

/** The browsers in which pages are tested: how each starts, and why it cannot run here. */
export const browsers = {
  Chromium: { start: startBrowser, missing: noBrowser },
  Firefox: { start: startFirefox, missing: noFirefox },
}
