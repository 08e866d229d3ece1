// A foreign web site: a page that serves, at another origin than the gateway's.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'

/** The file of the page. */
export const pageFile = fileURLToPath(new URL('server.html', import.meta.url))

/**
 * Starts the site on a free loopback port. /empty is a page that does not serve. The query may set the
 * Content-Security-Policy of a page as `csp`.
 */
export async function startSite() {
  const server = createServer((req, res) => {
    const policy = new URL(req.url, 'http://site').searchParams.get('csp')
    if (policy) res.setHeader('Content-Security-Policy', policy)
    const page = req.url === '/empty' ? '<!doctype html>' : readFileSync(pageFile)
    res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(page)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** Opens the page at an address, lets it claim, and returns the public URL. */
export async function openServer(page, address, gateway, options = {}) {
  const query = new URLSearchParams({ gateway: gateway.url.slice(0, -1), ...options })
  await page.goto(`${address}?${query}`)
  return claimedURL(page)
}

/** Waits until a page has claimed, and returns the public URL. */
export async function claimedURL(page) {
  await page.waitForFunction(() => globalThis.claim, { polling: 100 })
  return page.evaluate(() => globalThis.claim.url)
}
