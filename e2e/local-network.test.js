// A page of the public network uses a gateway on this machine if the person permits it: Chrome's Local Network Access.
// Firefox has no flag that makes an address public. A headless Chromium refuses whenever a page makes it ask.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { after, before, describe, test } from 'node:test'
import { elsewhere, noBrowser, startBrowser } from './browser.js'
import { selfSigned } from './certificate.js'
import { Gateway } from './gateway.js'
import { visit } from './visitor.js'

const page = `<!doctype html><meta charset="utf-8"><button>Serve</button><script type="module">
import { serve } from '/sdk.js'
const states = []
const told = ({ code, detail }) => ({ code, detail })
globalThis.serveHere = async () => {
  try {
    const claim = await serve(() => new Response('from the public network'), { gateway })
    claim.addEventListener('statechange', ({ state, error }) => states.push([state, error?.code]))
    Object.assign(globalThis, { claim, states })
    return claim.url
  } catch (error) {
    return told(error)
  }
}
if (location.search === '?now') console.log(JSON.stringify(await serveHere()))
document.querySelector('button').onclick = () => (globalThis.served = serveHere())
globalThis.permission = async () =>
  (await navigator.permissions.query({ name: 'loopback-network' })).state
</script>`

const worker = `import { serve } from '/sdk.js'
serve(() => new Response(), { gateway }).then(
  (claim) => postMessage(claim.url),
  ({ code, detail }) => postMessage({ code, detail }),
)`

describe('a page of the public network and a gateway on this machine', { skip: noBrowser }, () => {
  let gateway, browser, site, origin, certificate

  before(async () => {
    certificate = selfSigned()
    const [, cert, , key] = certificate.flags
    const copies = {}
    site = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (req, res) => {
      const path = new URL(req.url, origin).pathname
      const gatewayHere = `const gateway = ${JSON.stringify(gateway.url)}\n`
      const js = copies[path] ?? (path === '/worker.js' && gatewayHere + worker)
      res.setHeader('Content-Type', js ? 'text/javascript' : 'text/html')
      res.end(js || page.replace('const states', gatewayHere + 'const states'))
    }).listen(0, '127.0.0.1')
    await once(site, 'listening')
    const { port } = site.address()
    origin = `https://${elsewhere}:${port}`
    gateway = await Gateway.start('--allow-origin', origin)
    // The page loads the SDK from its own site, because loading it from the gateway would need the permission too.
    for (const name of ['/sdk.js', '/stream.js', '/page.js']) {
      copies[name] = await (await fetch(new URL(name, gateway.url))).text()
    }
    browser = await startBrowser(
      '--ignore-certificate-errors',
      `--ip-address-space-overrides=127.0.0.1:${port}=public`,
    )
  })
  after(async () => {
    await browser?.close()
    site?.close()
    site?.closeAllConnections()
    await gateway?.stop()
    certificate?.remove()
  })

  async function opened(t, setting) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    t.after(() => context.close())
    const page = await context.newPage()
    const permit = await permits(page)
    if (setting) await permit(setting)
    await page.goto(origin)
    await page.waitForFunction(() => globalThis.serveHere)
    return { page, permit }
  }

  /** Returns a function that permits or refuses for the person of a page. */
  async function permits(page) {
    const devtools = await browser.newBrowserCDPSession()
    const own = await page.context().newCDPSession(page)
    const { targetInfo } = await own.send('Target.getTargetInfo')
    const { browserContextId } = targetInfo
    return (setting) =>
      setting === 'granted'
        ? devtools.send('Browser.grantPermissions', {
            permissions: ['loopbackNetwork'],
            browserContextId,
            origin,
          })
        : devtools.send('Browser.setPermission', {
            permission: { name: 'loopback-network' },
            setting,
            browserContextId,
            origin,
          })
  }

  test('gets permission_needed without a gesture, and the person is not asked', async (t) => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    t.after(() => context.close())
    const page = await context.newPage()
    // Code that a test evaluates in a page counts as a gesture.
    const told = page.waitForEvent('console')
    await page.goto(`${origin}/?now`)
    const { code, detail } = JSON.parse((await told).text())
    assert.equal(code, 'permission_needed')
    assert.match(detail, /this machine.*Call serve in a click/)
    assert.equal(await page.evaluate(() => permission()), 'prompt')
  })

  test('asks in a click, and gets permission_denied if the person refuses', async (t) => {
    const { page } = await opened(t)
    await page.click('button')
    const { code, detail } = await page.evaluate(() => globalThis.served)
    assert.equal(code, 'permission_denied')
    assert.match(detail, /does not let this page reach this machine.*settings of this site/)
    assert.equal(await page.evaluate(() => permission()), 'denied')
    assert.equal((await page.evaluate(() => serveHere())).code, 'permission_denied')
  })

  test('serves by a link once the person permits it', async (t) => {
    const { page } = await opened(t, 'granted')
    const linked = new Promise((resolve) =>
      page.on('websocket', (link) => link.on('framereceived', resolve)),
    )
    const url = await page.evaluate(() => serveHere())
    await linked
    const { status, content } = await visit(url)
    assert.deepEqual([status, `${content}`], [200, 'from the public network'])
  })

  test('reports when the person withdraws the permission, and serves when they permit it again', async (t) => {
    const { page, permit } = await opened(t, 'granted')
    const url = await page.evaluate(() => serveHere())
    await permit('denied')
    await page.waitForFunction(() => states.length)
    assert.deepEqual(await page.evaluate(() => states.splice(0)), [
      ['reconnecting', 'permission_denied'],
    ])
    await permit('granted')
    await page.waitForFunction(() => states.length)
    assert.deepEqual(await page.evaluate(() => states), [['online', undefined]])
    assert.equal((await visit(url)).status, 200)
  })

  test('cannot ask from a Worker', async (t) => {
    const { page } = await opened(t)
    const { code, detail } = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const worker = new Worker('/worker.js', { type: 'module' })
          worker.onmessage = ({ data }) => resolve(data)
          worker.onerror = ({ message }) => resolve({ code: message })
        }),
    )
    assert.equal(code, 'permission_needed')
    assert.match(detail, /A Worker cannot ask/)
    assert.equal(await page.evaluate(() => permission()), 'prompt')
  })
})
