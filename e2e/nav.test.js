// The navigation to all pages, by keyboard, in a wide window and on a phone.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo, picture, windows } from './demo-page.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'

describe('the navigation to all pages', { skip: noBrowser }, () => {
  let gateway, browser

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.start(), startBrowser())
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
  })

  for (const [name, options] of windows) {
    test(`the menu has every page, ${name}`, async () => {
      const { page, close } = await openDemo(browser, gateway, 'ask', options)
      const menu = page.getByRole('navigation').getByRole('group')
      const opener = page.getByText('All pages')
      await opener.focus()
      await page.keyboard.press('Enter')
      const paths = await menu.locator('a').evaluateAll((links) => links.map((a) => a.pathname))
      assert.ok(paths.includes('/files') && paths.includes('/status'), `${paths}`)
      for (const path of paths) {
        assert.equal((await fetch(new URL(path, gateway.url))).status, 200, path)
      }
      assert.equal(await menu.locator('[aria-current=page]').getAttribute('href'), '/ask')
      await accessible(page, `the menu is open, ${name}`)
      await picture(page, `nav ${name}`)
      await page.keyboard.press('Escape')
      await menu.locator('ul').waitFor({ state: 'hidden' })
      assert.equal(await page.evaluate(() => document.activeElement.textContent), 'All pages')
      // A click in the page closes the menu.
      await page.keyboard.press('Enter')
      await menu.locator('ul').waitFor()
      // The menu may cover the rest of the page.
      await page.mouse.click(4, options.viewport.height - 4)
      await menu.locator('ul').waitFor({ state: 'hidden' })
      await page.keyboard.press('Tab')
      await opener.click()
      await menu.getByRole('link', { name: /^hello/ }).click()
      await page.waitForURL('**/hello')
      await close()
    })
  }
})
