// Hidden tabs that Chromium discards or freezes, as it does when it is short of memory. chrome://discards has it do so at
// once, without DevTools in the tab.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startBare } from './bare.js'
import { noBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { startSite } from './site.js'
import { until } from './until.js'
import { field, visit } from './visitor.js'

describe('a hidden tab that serves', { skip: noBrowser }, () => {
  let gateway, browser, site

  before(async () => {
    gateway = await Gateway.start()
    site = await startSite()
    browser = await startBare()
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
  })

  for (const [action, state] of [
    ['Urgent Discard', /unloaded discarded \(urgent\)/],
    ['Proactive Discard', /unloaded discarded \(proactive\)/],
    ['Freeze', /loaded frozen/],
  ]) {
    test(`leaves at once on ${action}, and serves the same label when it is shown again`, async () => {
      const label = action.toLowerCase().replace(' ', '-')
      const query = new URLSearchParams({ gateway: gateway.url.slice(0, -1), label })
      const address = `${site.url}?${query}`
      const url = `http://${label}.localhost:${gateway.port}/hello`
      await browser.open(address)
      await until(async () => (await visit(url)).status === 200, 'an answer')
      const list = await openList(browser, address)
      await until(async () => /hidden loaded/.test(await list.row()), 'the tab in the background')

      await list.click(action)
      await until(async () => state.test(await list.row()), action)
      const closed = new RegExp(`msg="session closed" label=${label} .*`)
      await until(() => closed.test(gateway.log), 'the end of the session')
      assert.match(gateway.log.match(closed)[0], /reason=left/)
      const { status, fields } = await visit(url)
      assert.equal(status, 503)
      assert.match(field(fields, 'Proxy-Status'), /handed=\?0/)
      assert.match(field(fields, 'Retry-After'), /^\d+$/)

      const { targetInfos } = await browser.send('Target.getTargets')
      const tab = targetInfos.find((target) => target.url === address)
      await browser.send('Target.activateTarget', { targetId: tab.targetId })
      await until(
        async () => (await visit(url)).status === 200,
        'an answer of the tab that is shown',
      )
      await browser.send('Target.closeTarget', { targetId: list.targetId })
    })
  }
})

/** Opens chrome://discards in front, and finds the row of a tab there. */
async function openList(browser, address) {
  const targetId = await browser.open('chrome://discards/')
  const evaluate = await browser.attach(targetId)
  // The page has shadow roots in shadow roots.
  const row = `(() => {
    const rows = (node) => [node.shadowRoot, ...(node.children ?? [])].flatMap((child) => (child ? rows(child) : []))
      .concat(node.tagName === 'TR' ? [node] : [])
    return rows(document).find((row) => row.textContent.includes(${JSON.stringify(address)}))
  })()`
  return {
    targetId,
    row: () => evaluate(`${row}?.innerText.replace(/\\s+/g, ' ') ?? ''`),
    click: (action) =>
      evaluate(`[...${row}.querySelectorAll('[is=action-link]')]
        .find((link) => link.textContent.trim() === ${JSON.stringify(`[${action}]`)}).click()`),
  }
}
