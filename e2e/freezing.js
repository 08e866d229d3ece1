// Which hidden tabs Chromium freezes by itself. Run it by hand: node e2e/freezing.js
//
// DevTools can freeze any page. Chromium's own policy looks at what a page does, and with the flags below
// it freezes every hidden tab that it may freeze, within seconds. So the tabs are opened without DevTools, and report
// their events to their site.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBare } from './bare.js'
import { Gateway } from './gateway.js'
import { visit } from './visitor.js'

const watchMs = Number(process.env.WATCH_MS ?? 40_000)
// The names are from components/performance_manager/features.cc of Chromium.
const features = [
  'InfiniteTabsFreezing:num_protected_tabs/0/unfreeze_interval/1h',
  'CPUMeasurementInFreezingPolicy:freezing_visible_protection_time/1s',
]

/** The tabs: a name, and the query of the page. */
const tabs = {
  'a page that does not serve': null,
  'serve, which holds a Web Lock': { label: 'lock' },
  'serve without a link, which holds a Web Lock': { label: 'polls', way: 'stream' },
  'serve with standby: false, without a Web Lock': { label: 'free', standby: 'false' },
  'serveFromWorker, whose page holds a Web Lock, too': { label: 'worker', from: 'worker' },
}

const reports = `<script>
const report = (event) => navigator.sendBeacon('/report?' + new URLSearchParams({ name: NAME, event }))
document.addEventListener('freeze', () => report('freeze'))
document.addEventListener('resume', () => report('resume'))
document.addEventListener('visibilitychange', () => report(document.visibilityState))
report('began ' + document.visibilityState)
</script>`

const seen = Object.fromEntries(Object.keys(tabs).map((name) => [name, []]))
const page = readFileSync(new URL('server.html', import.meta.url), 'utf8')
const site = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://site')
  const name = searchParams.get('name')
  if (pathname === '/report') {
    seen[name].push(searchParams.get('event'))
    return response.end()
  }
  const html =
    (tabs[name] ? page : '<!doctype html><body>') + reports.replace('NAME', JSON.stringify(name))
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(html)
})
site.listen(0, '127.0.0.1')
await once(site, 'listening')
const gateway = await Gateway.start()
const browser = await startBare(`--enable-features=${features}`)
for (const [name, options] of Object.entries(tabs)) {
  const query = new URLSearchParams({ name, gateway: gateway.url.slice(0, -1), ...options })
  const url = `http://127.0.0.1:${site.address().port}/?${query}`
  await browser.open(url, { background: true })
}
await sleep(watchMs)
const rows = {}
for (const [name, options] of Object.entries(tabs)) {
  const row = { events: seen[name].join(', ') }
  if (options) {
    const at = `http://${options.label}.localhost:${gateway.port}/hello`
    row.visitor = (await visit(at)).status
  }
  rows[name] = row
}
console.table(rows)
console.log(
  gateway.log
    .split('\n')
    .filter((line) => /session (opened|closed)/.test(line))
    .join('\n'),
)
await browser.close()
site.close()
site.closeAllConnections()
await gateway.stop()
