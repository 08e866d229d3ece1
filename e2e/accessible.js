// Whether a page can be used by everybody, as far as a program can say.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Fails where axe finds something in a page of Playwright's, or the page is wider than its window. */
export async function accessible(page, state) {
  await page.evaluate(axe)
  // Colours are those at the end of a motion.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)))
  const { violations } = await page.evaluate(() => globalThis.axe.run())
  const found = violations.map(({ id, nodes }) => [id, ...nodes.map((n) => n.html)])
  assert.deepEqual(found, [], state)
  const wide = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    return scrollWidth - clientWidth
  })
  assert.ok(wide <= 0, `${state}: the page is ${wide} px wider than the window`)
}
