// Checks the accessibility of a page with axe.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Fails if axe finds a violation in a Playwright page, or if the page is wider than its window. */
export async function accessible(page, state) {
  if (!(await page.evaluate(() => !!globalThis.axe))) await page.evaluate(axe)
  // Animations end before axe checks colours.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)))
  // What passes is neither described nor sent here: that costs more than the checks.
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] })
    return violations.map(({ id, nodes }) => [id, ...nodes.map((n) => n.html)])
  })
  assert.deepEqual(found, [], state)
  const wide = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    return scrollWidth - clientWidth
  })
  assert.ok(wide <= 0, `${state}: the page is ${wide} px wider than the window`)
}
