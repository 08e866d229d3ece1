/**
 * The state of this gateway, on the index page, updated every few seconds while the page is
 * visible.
 */
import { bytesInWords } from './content.js'
import { by, element, say } from './element.js'
import { gauge, samplesOf } from './metrics.js'
import { quotaRows } from './quotas.js'

const everyMs = 3_000
const gauges = {
  claims: 'reversehttp_claims',
  sessions: 'reversehttp_sessions',
  polls: 'reversehttp_polls_parked',
  open: 'reversehttp_exchanges_open',
}
const outcomes = { done: 'done', failed: 'failed', timed_out: 'timed out', abandoned: 'abandoned' }

let seen = ''

async function refresh() {
  try {
    const [ready, discovery, metrics] = await Promise.all(
      ['/readyz', '/.well-known/reversehttp', '/metrics'].map((path) =>
        fetch(path, { signal: AbortSignal.timeout(everyMs) }),
      ),
    )
    seen = new Date().toLocaleTimeString()
    // Any other answer, such as a proxy's error page, is not the state of a gateway.
    if (!discovery.ok) throw new Error(`its discovery document answers ${discovery.status}`)
    describe(await discovery.json())
    count(metrics.ok ? samplesOf(await metrics.text()) : [])
    if (ready.ok) show('online', 'ready: claims and visitors are welcome')
    else show('reconnecting', 'stopping: no new claims and no new visitors')
    // A public gateway has its metrics only at the operator's address.
    const elsewhere = metrics.status === 404
    by('numbers').hidden = by('ended').hidden = by('metrics-link').hidden = !metrics.ok && elsewhere
    by('elsewhere').hidden = metrics.ok || !elsewhere
    say(
      by('as-of'),
      metrics.ok || elsewhere ? `as of ${seen}` : 'it does not tell its numbers here',
    )
  } catch (e) {
    const why = e instanceof TypeError || e instanceof DOMException ? 'no answer' : e
    show('closed', `not reachable (${why})`)
    say(by('as-of'), seen ? `figures as of ${seen}` : '')
  }
}

/**
 * @param {string} state
 * @param {string} words
 */
function show(state, words) {
  by('state').dataset.state = state
  say(by('state'), words)
}

/** @param {any} discovery */
function describe({ claims, urlTemplate, keyNeeded, cookiesShared, limits, version }) {
  const { origin } = new URL(claims)
  if (origin !== location.origin) location.replace(origin + location.pathname)
  say(by('template'), urlTemplate)
  say(by('key'), keyNeeded ? 'with a key only' : 'everybody')
  by('cookies-shared').hidden = !cookiesShared
  say(by('version'), `${version}`)
  say(by('limits'), bytesInWords(limits.contentBytes))
}

/** @param {import('./metrics.js').Sample[]} samples */
function count(samples) {
  for (const [id, name] of Object.entries(gauges)) say(by(id), `${gauge(samples, name) ?? '–'}`)
  const rows = Object.entries(outcomes).map(([outcome, words]) => {
    const ended = samples.filter(
      (s) => s.name === 'reversehttp_exchanges_total' && s.labels.outcome === outcome,
    )
    const sum = ended.reduce((n, s) => n + s.value, 0)
    const codes = ended.filter((s) => s.labels.code).map((s) => `${s.labels.code} ${s.value}`)
    const head = element('th', '', words)
    head.scope = 'row'
    const number = samples.length ? `${sum}` : '–'
    return element(
      'tr',
      '',
      head,
      element('td', 'number', number),
      element('td', '', codes.join(', ')),
    )
  })
  by('outcomes').replaceChildren(...rows)
  const quotas = quotaRows(samples).map(({ account, quota, used, limit, share }) => {
    const head = element('th', '', account)
    head.scope = 'row'
    const numbers = [used, limit, share].map((n) => element('td', 'number', n))
    return element('tr', '', head, element('td', '', quota), ...numbers)
  })
  by('quota-rows').replaceChildren(...quotas)
  by('quotas').hidden = quotas.length === 0
}

for (const code of document.querySelectorAll('pre code')) {
  say(
    /** @type {HTMLElement} */ (code),
    code.textContent?.replaceAll('GATEWAY', location.origin) ?? '',
  )
}
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer
async function loop() {
  clearTimeout(timer)
  if (document.hidden) return
  await refresh()
  clearTimeout(timer)
  timer = setTimeout(loop, everyMs)
}
document.addEventListener('visibilitychange', loop)
void loop()
