// A page of the gateway that claims, in a profile of its own, and the faults that it reports.
import assert from 'node:assert/strict'

/**
 * Opens a page and waits until it is online.
 * @param {import('playwright-core').Browser} browser
 * @param {import('./gateway.js').Gateway} gateway
 * @param {string} path
 * @param {object} [options] of the context
 */
export async function openDemo(browser, gateway, path, options = {}) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const faults = []
  page.on('pageerror', (e) => faults.push(e.message))
  page.on('console', (m) => faults.push(`${m.type()}: ${m.text()}`))
  page.on('request', (r) => {
    const { protocol, host } = new URL(r.url())
    if (protocol.startsWith('http') && host !== `localhost:${gateway.port}`) faults.push(r.url())
  })
  await page.goto(`${gateway.url}${path}`)
  await page.locator('#state[data-state="online"]').waitFor()
  const url = await page.getAttribute('#url', 'href')
  return {
    context,
    page,
    url,
    faults,
    /** Closes the page, which must have written nothing to the console and asked no other host. */
    async close() {
      assert.deepEqual(faults, [])
      await context.close()
    },
  }
}

/** The kinds of windows in which pages are checked. */
export const windows = [
  ['light, wide', { viewport: { width: 1280, height: 900 } }],
  ['dark, 360 px wide', { viewport: { width: 360, height: 740 }, colorScheme: 'dark' }],
]

/** Saves a screenshot of a page for people to look at, in the folder that SCREENSHOTS names. */
export async function picture(page, name) {
  const { SCREENSHOTS: folder } = process.env
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true })
}
