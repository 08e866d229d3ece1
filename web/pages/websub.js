/** WebSub subscriber: hubs push feeds into this tab. */
import { claimPanel } from './claim-panel.js'
import { bytesInWords } from './content.js'
import { button, by, make, say } from './element.js'
import { namedBy, readFeed } from './feed.js'
import { keep, recall } from './kept.js'
import { asking, Subscriptions } from './subscriptions.js'

/** @typedef {import('./subscriptions.js').Subscription} Subscription */

const keptAt = 'websub subscriptions'
const answerMs = 30_000
const mostPushes = 50
const mostText = 2_000
const longestTimerMs = 2 ** 31 - 1
let base = ''
/** @type {Map<string, ReturnType<typeof setTimeout>>} when each subscription is renewed */
const renewals = new Map()

const subscriptions = new Subscriptions(changed, pushed)

claimPanel({
  page: 'websub',
  handler: subscriptions.handle,
  curl: (url) => `curl -i '${url}sub/unknown?hub.mode=subscribe&hub.challenge=x'`,
  claimed: ({ url }) => {
    if (base && base !== url) subscriptions.clear()
    if (base !== url) subscriptions.restore(kept(), url)
    base = url
  },
  released: () => {
    subscriptions.clear()
    base = ''
  },
})
addEventListener('pagehide', () => keep(keptAt, JSON.stringify(subscriptions.all)))

by('form').addEventListener('submit', async (/** @type {Event} */ e) => {
  e.preventDefault()
  say(by('websub-error'), '')
  by('subscribe').disabled = true
  try {
    await subscribe(by('topic').value.trim(), by('hub').value.trim())
  } catch (e) {
    say(by('progress'), '')
    say(by('websub-error'), /** @type {Error} */ (e).message)
  }
  by('subscribe').disabled = false
})

/**
 * @param {string} feed
 * @param {string} given the hub, or empty if the feed names it
 */
async function subscribe(feed, given) {
  if (!base) throw new Error('This page has no URL for pushes.')
  if (!crypto.subtle) throw new Error('Browsers check signatures on https and on localhost only.')
  say(by('progress'), given ? '' : 'Asking the feed for its hub…')
  const { hub, topic } = given ? { hub: given, topic: feed } : await discover(feed)
  if (!/^https?:$/.test(new URL(hub).protocol))
    throw new Error('The URL of a hub begins with http: or https:.')
  const one = subscriptions.add(topic, hub, base)
  if (!one) throw new Error('There are too many subscriptions: end one first.')
  try {
    await ask(one, 'subscribe')
  } catch (e) {
    subscriptions.forget(one.id)
    throw e
  }
}

/**
 * Finds the hub of a feed.
 * @param {string} feed
 */
async function discover(feed) {
  const signal = AbortSignal.timeout(answerMs)
  const response = await fetch(feed, { signal, credentials: 'omit' }).catch(() => undefined)
  if (!response)
    throw new Error('The feed cannot be reached, or pages cannot read it: enter its hub.')
  const { hub, topic } = namedBy(
    response.headers.get('Link'),
    await beginning(response),
    response.url,
  )
  if (!hub) throw new Error('The feed names no hub.')
  return { hub, topic }
}

/**
 * Returns the beginning of a text.
 * @param {Response} response
 */
async function beginning(response) {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  while (reader && text.length < 512 * 1024) {
    const { done, value } = await reader.read()
    if (done) return text
    text += decoder.decode(value, { stream: true })
  }
  await reader?.cancel()
  return text
}

/**
 * Asks the hub of a subscription. It answers later, by asking this page to verify the intent.
 * @param {Subscription} one
 * @param {'subscribe' | 'unsubscribe'} mode
 */
async function ask(one, mode) {
  say(by('progress'), 'Asking the hub…')
  const signal = AbortSignal.timeout(answerMs)
  const content = {
    method: 'POST',
    body: asking(one, mode),
    signal,
    credentials: /** @type {const} */ ('omit'),
  }
  let response
  try {
    response = await fetch(one.hub, content)
  } catch {
    // A hub without CORS got the request all the same; one that cannot be reached looks the same.
    return say(
      by('progress'),
      'Pages cannot read the answer of this hub. It may still confirm the subscription.',
    )
  }
  if (!response.ok) throw new Error(`The hub refuses: it answers ${response.status}.`)
  say(by('progress'), '')
}

/** @param {Subscription} one */
async function unsubscribe(one) {
  if (one.state !== 'active') return subscriptions.forget(one.id)
  subscriptions.leave(one.id)
  await ask(one, 'unsubscribe').catch((e) => {
    // This page no longer answers for it: the hub gets 404, and ends it.
    subscriptions.forget(one.id)
    say(by('websub-error'), e.message)
  })
}

const states = {
  asked: 'waits for the hub to make sure',
  denied: 'denied',
  leaving: 'is being ended',
}

function changed() {
  const all = subscriptions.all
  keep(keptAt, JSON.stringify(all))
  by('subscriptions').replaceChildren(
    ...all.map((one) => {
      const until = new Date(one.endsAt).toLocaleString([], {
        dateStyle: 'medium',
        timeStyle: 'short',
      })
      const state =
        one.state === 'active' ? `active until ${until}, then renewed` : states[one.state]
      return make(
        'li',
        { 'data-subscription': one.state },
        make('bdi', {}, one.topic),
        make('small', {}, `${state}${one.reason && `: ${one.reason}`} · hub ${one.hub}`),
        button({ class: 'quiet' }, one.state === 'active' ? 'Unsubscribe' : 'Forget it', () =>
          unsubscribe(one),
        ),
      )
    }),
    ...(all.length ? [] : [make('li', { class: 'faint' }, 'None yet.')]),
  )
  renew(all)
}

/**
 * Schedules the renewal of each active subscription before it ends.
 * @param {Subscription[]} all
 */
function renew(all) {
  for (const timer of renewals.values()) clearTimeout(timer)
  renewals.clear()
  for (const one of all) {
    if (one.state !== 'active') continue
    const ms = Math.max((one.endsAt - Date.now()) * 0.9, 10_000)
    const again = () => ask(one, 'subscribe').catch((e) => say(by('websub-error'), e.message))
    renewals.set(one.id, setTimeout(again, Math.min(ms, longestTimerMs)))
  }
}

/** @param {import('./subscriptions.js').Push} push */
async function pushed({ of, signature, type, content }) {
  const time = make('time', {}, new Date().toLocaleTimeString())
  const item = make(
    'li',
    { 'data-signature': signature },
    make('header', {}, make('bdi', {}, of.topic), time),
  )
  if (signature === 'valid') {
    const { XMLParser } = await import('/vendor/xml.js')
    item.append(...drawn(readFeed(content, XMLParser), type, content))
  } else {
    const why = signature === 'unsigned' ? 'It is not signed' : 'Its signature is wrong'
    item.append(make('p', { class: 'fault' }, `${why}: what came is not shown.`))
  }
  by('pushes').prepend(item)
  while (by('pushes').childElementCount > mostPushes) by('pushes').lastElementChild.remove()
  by('none').hidden = true
}

/**
 * @param {ReturnType<typeof readFeed>} feed
 * @param {string} type
 * @param {Uint8Array} content
 */
function drawn(feed, type, content) {
  const signed = make(
    'small',
    {},
    `signature valid · ${type.slice(0, 80)} · ${bytesInWords(content.length)}`,
  )
  if (!feed) {
    const text = new TextDecoder().decode(content.subarray(0, mostText))
    return [signed, make('pre', { tabindex: 0, role: 'group', 'aria-label': 'What came' }, text)]
  }
  const entries = feed.entries.map(({ title, link }) => {
    const text = title || link || 'without a title'
    const shown = link
      ? make('a', { href: link, target: '_blank', rel: 'noopener noreferrer' }, text)
      : text
    return make('li', {}, shown)
  })
  return [make('strong', {}, feed.title), make('ul', {}, ...entries), signed]
}

/** @returns {Subscription[]} */
function kept() {
  try {
    const all = JSON.parse(recall(keptAt) ?? '[]')
    return Array.isArray(all) ? all.filter((one) => typeof one?.callback === 'string') : []
  } catch {
    return []
  }
}
