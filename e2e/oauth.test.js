// A tab is the redirect URI of a sign-in: by code and PKCE, with a certified provider.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo, picture, windows } from './demo-page.js'
import { freePort, Gateway } from './gateway.js'
import { startProvider } from './oidc.js'
import { startAll } from './start-all.js'
import { visit } from './visitor.js'

describe('OAuth callback', { skip: noBrowser }, () => {
  let gateway, below, browser, provider
  const labels = ['signs-in', 'refused', 'light', 'dark']

  before(async () => {
    ;[gateway, below, browser] = await startAll(
      Gateway.start(),
      Gateway.startBelowPath(),
      startBrowser(),
    )
    provider = await startProvider([
      ...labels.map((label) => `http://${label}.localhost:${gateway.port}/callback`),
      `http://localhost:${below.port}/at/below/callback`,
    ])
  })
  after(async () => {
    await browser?.close()
    await provider?.close()
    await below?.stop()
    await gateway?.stop()
  })

  /** Opens the page with a label that the provider knows. */
  async function open(at, label, options) {
    const opened = await openDemo(browser, at, 'oauth', options)
    const { page } = opened
    await page.getByRole('button', { name: 'Another label…' }).click()
    await page.getByLabel(/^Label/).fill(label)
    await page.getByRole('button', { name: 'Claim', exact: true }).click()
    await page.locator('#redirect', { hasText: label }).waitFor()
    return { ...opened, url: await page.getAttribute('#url', 'href') }
  }

  /** Presses the button, and returns the tab of the provider. */
  async function signIn({ page, context }, issuer = provider.url) {
    await page.getByLabel('Issuer').fill(issuer)
    await page.getByLabel('Client ID').fill('demo')
    const opened = context.waitForEvent('page')
    await page.getByRole('button', { name: 'Sign in' }).click()
    return opened
  }

  /** Closes a page, which must have asked only the gateway and the provider. */
  async function close({ context, faults }, ...others) {
    const wrong = (fault) => !fault.startsWith(provider.url) && !others.some((o) => o.test(fault))
    assert.deepEqual(faults.filter(wrong), [])
    await context.close()
  }

  for (const [name, which, label] of [
    ['in the shape of a host', () => gateway, 'signs-in'],
    ['below a path', () => below, 'below'],
  ]) {
    test(`a person signs in, and the tab has the tokens, ${name}`, async () => {
      const opened = await open(which(), label)
      const { page, url } = opened
      const theirs = await signIn(opened)
      // A guess by a stranger is refused, and does not end the wait.
      assert.equal((await visit(`${url}callback?code=x&state=guess`)).status, 400)
      assert.equal((await visit(`${url}callback`)).status, 404)
      await theirs.getByRole('link', { name: 'Sign in' }).click()
      await theirs.getByRole('heading', { name: 'Signed in' }).waitFor()
      await page.locator('#progress', { hasText: 'Signed in' }).waitFor()
      await page.locator('#who tr', { hasText: 'sub' }).filter({ hasText: 'ann' }).waitFor()
      await page.locator('#who tr', { hasText: 'iss' }).filter({ hasText: provider.url }).waitFor()
      const tokens = JSON.parse(await page.locator('#tokens').textContent())
      assert.ok(tokens.access_token)
      // The same redirect again.
      const again = await visit(theirs.url())
      assert.equal(again.status, 400)
      await close(opened)
    })
  }

  test('a refusal, and a missing provider, are reported', async () => {
    const opened = await open(gateway, 'refused')
    const { page } = opened
    const theirs = await signIn(opened)
    await theirs.getByRole('link', { name: 'Refuse' }).click()
    await theirs.getByRole('heading', { name: 'Not signed in' }).waitFor()
    await page.locator('#oauth-error', { hasText: 'access_denied: not today' }).waitFor()
    const nobody = `http://localhost:${await freePort()}`
    await page.getByLabel('Issuer').fill(nobody)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('#oauth-error', { hasText: 'names no page to sign in' }).waitFor()
    // Requests to the provider, and the browser's messages about them.
    await close(opened, new RegExp(nobody), /Failed to load resource/)
  })

  for (const [name, options] of windows) {
    test(`axe finds nothing, ${name}`, async () => {
      const opened = await open(gateway, name.split(',')[0], options)
      const { page } = opened
      await accessible(page, `at first, ${name}`)
      await picture(page, `oauth empty ${name}`)
      const theirs = await signIn(opened)
      await theirs.getByRole('link', { name: 'Sign in' }).click()
      await theirs.getByRole('heading', { name: 'Signed in' }).waitFor()
      await accessible(theirs, `what the browser is sent back to, ${name}`)
      await page.locator('#who tr').first().waitFor()
      await page.getByText('Tokens as received').click()
      await accessible(page, name)
      await picture(page, `oauth ${name}`)
      await close(opened)
    })
  }
})
