/**
 * What console, inbox and playground have in common: a claim, the list of its exchanges, and the
 * one that is open. The detail is loaded when the first exchange is opened.
 */
import { claimPanel } from './claim-panel.js'
import { by, say } from './element.js'
import { ExchangeList } from './exchange-list.js'
import { ExchangeStore } from './exchange-store.js'
import { parseFilter } from './filter.js'
import { onKeys, showHelp } from './keys.js'
import { listPane } from './list-pane.js'
import * as recordings from './recordings.js'
import { atHash, toHash } from './route.js'
import { noneOpen, sidePane } from './side-pane.js'
import { toast } from './toast.js'

const searchMs = 400
const moveMs = 90
const reloadMs = 250

/**
 * @typedef {object} Stored what a page keeps beyond its gateway
 * @property {(label: string) => Promise<recordings.Recorded[]>} rows
 * @property {(id: string) => Promise<recordings.Recording | undefined>} one
 * @property {() => Promise<void>} clear
 */

/**
 * @param {object} options
 * @param {string} options.page names the page among those that keep something in this tab
 * @param {import('/sdk.js').Handler} options.handler
 * @param {(url: string) => string} options.curl
 * @param {string} options.own the name of what the page has of its own beside the list
 * @param {'exchange' | 'own'} options.first what is seen beside the list at first
 * @param {(message: string) => void} options.failed told of faults of the handler
 * @param {(recording: recordings.Recording) => void} [options.opened] told of what was opened
 * @param {Stored} [options.stored] what the page has kept of the exchanges of a claim
 * @param {() => boolean} [options.counts] whether the title counts what comes to a hidden tab; absent: it does
 * @param {import('./viewing.js').Viewing} [options.viewing] the claim to look at, in place of one to serve
 */
export function workbench(options) {
  const { page, handler, curl, own, first, failed, opened, stored, viewing } = options
  const { counts = () => true } = options
  const main = by('work')
  const narrow = matchMedia('(max-width: 60rem)')
  const title = document.title
  /** @type {recordings.At | undefined} */
  let at
  let watching = new AbortController()
  let current = ''
  let unseen = 0
  let label = ''
  /** @type {import('./exchange-store.js').Row[] | undefined} what is listed while paused */
  let frozen
  let came = 0
  let parsed = parseFilter('')
  /** @type {Set<string> | undefined} what the gateway found by content */
  let found
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let searching
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let moving
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let reloading
  let scheduled = false
  let loads = 0
  /** Whether all that the gateway has is in the store. */
  let listed = false
  /** @type {Set<string>} those that the page has kept, and of which the gateway says nothing */
  const brought = new Set()
  /** The exchange that a replay made last. */
  let made = ''

  const store = new ExchangeStore((id, isNew) => {
    if (isNew && frozen) came++
    if (isNew && document.hidden && counts()) document.title = `(${++unseen}) ${title}`
    if (isNew && parsed.params.has('content')) searchLater()
    if (id === current && id) loadSoon()
    schedule()
  })
  const offer = listPane(by('list-pane'), {
    own,
    onFilter: () => {
      filterBy(by('filter').value)
      go()
    },
    onPause: pause,
    onClear: clearAll,
    onOwn: () => {
      showSide('own')
      main.dataset.screen = 'side'
      by('back').focus()
    },
    onHelp: showHelp,
  })
  const showSide = sidePane(by('side-pane'), { name: own, own: by('own'), first, back })
  const list = new ExchangeList(by('exchanges'), (id) => open(id))
  noneOpen()

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return
    unseen = 0
    document.title = title
  })
  onKeys({
    j: () => move(1),
    k: () => move(-1),
    arrowdown: () => move(1),
    arrowup: () => move(-1),
    pagedown: () => move(list.page),
    pageup: () => move(-list.page),
    home: () => move(-Infinity),
    end: () => move(Infinity),
    enter: () => list.chosen && open(list.chosen, true),
    escape: back,
    r: () => press('#resend'),
    e: () => press('#edit'),
    c: () => press('.copy-as'),
    '/': () => by('filter').focus(),
    '?': showHelp,
    p: pause,
  })
  by('filter').addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (e.key !== 'Escape' && e.key !== 'Enter') return
    e.preventDefault()
    focusList()
  })
  addEventListener('hashchange', follow)
  follow()
  // The first exchange should not wait for the code that shows it. It is loaded again then if this
  // fails, as it does where the page is left meanwhile.
  setTimeout(() => import('./open-exchange.js').catch(() => {}), 1_000)

  if (viewing) void lookAt(viewing)
  else serve()
  return { store, showOwn: () => showSide('own') }

  /** @param {import('./viewing.js').Viewing} viewing */
  async function lookAt(viewing) {
    for (const id of ['side-own', 'to-own']) by(id).hidden = true
    by('clear').hidden = !viewing.owner
    const { viewerPanel } = await import('./viewer-panel.js')
    await viewerPanel({ viewing, curl, found: watchAt })
  }

  function serve() {
    claimPanel({
      page,
      curl,
      handler,
      claimed: (claim, link) => {
        if (label !== claim.label) {
          if (label) forget()
          label = claim.label
          void bringBack(label)
          say(by('first-curl'), curl(claim.url))
          claim.addEventListener('error', ({ message }) => failed(message))
        }
        void watchClaim(claim, link)
      },
      released: () => {
        watching.abort()
        at = undefined
      },
    })
  }

  /**
   * @param {import('/sdk.js').Claim} claim
   * @param {import('./link-watch.js').LinkWatch} link
   */
  function watchClaim({ exchanges, token }, link) {
    if (exchanges) return watchAt({ exchanges, token }, link)
    toast('This gateway records nothing, so nothing is listed.')
  }

  /**
   * @param {recordings.At} where
   * @param {import('./link-watch.js').LinkWatch} [link]
   */
  function watchAt(where, link) {
    watching.abort()
    watching = new AbortController()
    at = where
    listed = false
    /** @type {Set<string>} */
    const there = new Set()
    return recordings.watch(
      { ...at, signal: watching.signal, link },
      (recorded) => {
        if (!listed) there.add(recorded.id)
        brought.delete(recorded.id)
        store.upsert(recorded)
      },
      cleared,
      () => {
        listed = true
        store.only(there)
        if (current) load()
      },
    )
  }

  function schedule() {
    if (scheduled) return
    scheduled = true
    requestAnimationFrame(() => {
      scheduled = false
      render()
    })
  }

  function render() {
    const all = frozen ?? store.rows()
    const filtered = by('filter').value.trim() !== ''
    const rows = filtered
      ? all.filter(({ recorded }) => parsed.test(recorded) && (found?.has(recorded.id) ?? true))
      : all
    list.show(rows)
    by('exchanges').hidden = !rows.length
    by('nothing').hidden = all.length > 0
    by('none-pass').hidden = rows.length > 0 || !all.length
    const words = all.length === 1 ? '1 exchange' : `${all.length.toLocaleString('en')} exchanges`
    say(by('count'), rows.length < all.length ? `${rows.length} of ${words}` : words)
    say(by('paused'), frozen ? `paused, ${came} more came` : '')
  }

  /** @param {string} text */
  function filterBy(text) {
    parsed = parseFilter(text)
    found = undefined
    say(by('filter-note'), parsed.faults.join(' '))
    if (parsed.params.has('content')) searchLater()
    schedule()
  }

  function searchLater() {
    clearTimeout(searching)
    searching = setTimeout(async () => {
      const { params } = parsed
      if (!at || !params.has('content')) return
      try {
        const ids = await recordings.search(at, params)
        if (params === parsed.params) found = ids
      } catch (e) {
        say(by('filter-note'), /** @type {Error} */ (e).message)
      }
      schedule()
    }, searchMs)
  }

  function pause() {
    frozen = frozen ? undefined : store.rows()
    came = 0
    by('pause').setAttribute('aria-pressed', `${!!frozen}`)
    schedule()
  }

  /**
   * Lists what the page has kept of a label.
   * @param {string} of
   */
  async function bringBack(of) {
    brought.clear()
    const rows = await stored?.rows(of).catch(() => [])
    if (label !== of) return
    for (const recorded of rows ?? []) {
      if (store.get(recorded.id)) continue
      brought.add(recorded.id)
      store.upsert(recorded)
    }
  }

  async function clearAll() {
    // An exchange that is about to be deleted need not be loaded.
    clearTimeout(reloading)
    reloading = undefined
    try {
      await stored?.clear()
      if (at) await recordings.clear(at)
      cleared()
      if (frozen) pause()
      back()
    } catch (e) {
      toast(`Not cleared: ${/** @type {Error} */ (e).message}`)
    }
  }

  /** The recordings of exchanges that ended are gone, and what was open with them. */
  function cleared() {
    store.clear()
    void dropLost()
    closeLost()
  }

  /** Drops exchanges whose end the page has not heard of, and that were deleted. */
  async function dropLost() {
    const open = store.open()
    if (!open.length || !at) return
    const there = await recordings.search(at, new URLSearchParams()).catch(() => undefined)
    if (!there) return
    store.remove(new Set(open.filter((id) => !there.has(id))))
    closeLost()
  }

  function closeLost() {
    if (!current || store.get(current)) return
    current = ''
    go()
    noneOpen()
  }

  /** @param {number} by */
  function move(by) {
    const id = list.near(by)
    if (!id) return
    if (narrow.matches) return list.choose(id)
    current = id
    list.choose(id)
    showSide('exchange')
    clearTimeout(moving)
    moving = setTimeout(load, moveMs)
    go()
  }

  /**
   * @param {string} id
   * @param {boolean} [focus] whether the detail takes the focus
   */
  function open(id, focus = narrow.matches) {
    current = id
    list.choose(id)
    showSide('exchange')
    main.dataset.screen = 'side'
    load(focus)
    go()
  }

  function back() {
    main.dataset.screen = 'list'
    if (narrow.matches) current = ''
    go()
    focusList()
  }

  function focusList() {
    const box = by('exchanges')
    if (box.hidden) by('filter').blur()
    else box.focus({ preventScroll: true })
  }

  /** Shows the current exchange again, which may change many times a second. */
  function loadSoon() {
    reloading ??= setTimeout(() => {
      reloading = undefined
      load()
    }, reloadMs)
  }

  /** Shows the current exchange. What changes meanwhile is shown by the next load. */
  async function load(focus = false) {
    clearTimeout(moving)
    const id = current
    const mine = ++loads
    // Whether there is such an exchange the list knows.
    if (!at || !id || !listed) return
    const { openExchange } = await import('./open-exchange.js')
    const still = () => mine === loads && id === current
    const openIt = (/** @type {string} */ to) => {
      made = to
      open(to, true)
    }
    const act = { open: openIt, opened, stored: stored?.one, away: brought.has(id) }
    await openExchange({ at, id, store, still, focus, made: id === made, ...act })
  }

  /** @param {string} selector */
  function press(selector) {
    const pressed = /** @type {HTMLElement | null} */ (by('exchange').querySelector(selector))
    if (current && !pressed?.closest('[hidden]')) pressed?.click()
  }

  /** Has the address of the page say what it shows. */
  function go() {
    const hash = toHash({ id: current, filter: by('filter').value })
    history.replaceState(null, '', hash || location.pathname)
  }

  function follow() {
    const { id, filter } = atHash(location.hash)
    by('filter').value = filter
    offer()
    filterBy(filter)
    if (id && id !== current) open(id)
  }

  /** The exchanges are those of another claim. */
  function forget() {
    store.clear(true)
    current = ''
    main.dataset.screen = 'list'
    go()
    noneOpen()
  }
}
