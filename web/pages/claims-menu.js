/** The list below the button of claims: which there are, who serves them, and the way to each. */
import { servedBy, switchTo } from './claim-switch.js'
import { claims, forget } from './claims.js'
import { ago } from './duration.js'
import { button, element, make, say } from './element.js'
import { claimsAt } from './viewing.js'

/** @typedef {import('./claims.js').Kept} Kept */

/** How long an answer about a claim is shown before the gateway is asked again. */
const askAgainMs = 3_000

/**
 * Makes the list beside its button, and returns what opens and closes it.
 * @param {HTMLButtonElement} opener
 * @param {{ current: () => string | undefined, looked: () => string | undefined }} shown the label
 *   that the console serves, or looks at
 */
export function claimsMenu(opener, { current, looked }) {
  const box = /** @type {HTMLElement} */ (opener.parentElement)
  const list = element('ul')
  const said = make('p', { role: 'status', class: 'faint' })
  const of = { id: 'claims-menu', class: 'menu claims-menu', role: 'group', tabindex: '-1' }
  const menu = make('div', { ...of, 'aria-label': 'Claims of this browser' }, list, said)
  menu.hidden = true
  opener.setAttribute('aria-controls', menu.id)
  box.append(menu)
  let round = 0

  menu.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    // The keys of the page are not for what is typed here.
    e.stopPropagation()
    if (e.key === 'Escape') close()
    const all = entries()
    const row = document.activeElement?.closest('li')
    const at = all.findIndex((entry) => entry.parentElement === row)
    const last = all.length - 1
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[e.key]
    if (to === undefined || !all.length) return
    e.preventDefault()
    all[(to + all.length) % all.length].focus()
  })
  box.addEventListener('focusout', (/** @type {FocusEvent} */ e) => {
    if (!box.contains(/** @type {Node | null} */ (e.relatedTarget))) shut()
  })
  return () => (menu.hidden ? open() : close())

  function open() {
    const mine = ++round
    const at = claimsAt()
    list.replaceChildren(...claims().map((kept) => row(kept, at, () => mine === round)))
    tell()
    menu.hidden = false
    opener.setAttribute('aria-expanded', 'true')
    ;(entries()[0] ?? menu).focus()
  }

  function close() {
    opener.focus()
    shut()
  }

  function shut() {
    round++
    menu.hidden = true
    opener.setAttribute('aria-expanded', 'false')
  }

  /** @returns {HTMLElement[]} */
  function entries() {
    return [...list.querySelectorAll('.claim-entry')]
  }

  function tell(text = '') {
    say(said, text || (list.childElementCount ? '' : 'No page of this browser holds a claim.'))
  }

  /**
   * @param {Kept} kept
   * @param {Promise<string>} at
   * @param {() => boolean} still whether the answer is still waited for
   */
  function row(kept, at, still) {
    const { label, page, seen } = kept
    const here = label === current()
    const state = make('span', { 'data-state': 'asked' }, 'asking…')
    const when = make('small', {}, `${page}, seen ${ago(Date.now() - seen)}`)
    const is = { class: 'claim-entry', 'aria-current': (here || label === looked()) && 'true' }
    const entry = button(is, '', () => choose(kept, drop))
    // Screen readers read them as one name.
    entry.append(element('span', 'mono', label), ' ', state, ' ', when)
    const away = button({ class: 'quiet', 'aria-label': `Forget ${label}` }, 'Forget', () => {
      forget(label)
      drop()
    })
    const made = element('li', '', entry, away)
    void ask()
    return made

    async function ask() {
      const is = here ? 'this tab' : await servedBy(kept, at)
      if (!still()) return
      if (is === 'gone') return drop()
      if (is === 'this tab' || is === 'another tab') say(when, `${page}, seen now`)
      state.dataset.state = is.endsWith('tab') ? 'online' : 'asked'
      say(state, is.endsWith('tab') ? `served in ${is}` : is)
      if (!here) setTimeout(() => still() && made.isConnected && void ask(), askAgainMs)
    }

    function drop() {
      const all = entries()
      const next = all[all.indexOf(entry) + 1] ?? all[all.indexOf(entry) - 1] ?? menu
      if (made.contains(document.activeElement)) next.focus()
      made.remove()
      tell()
    }
  }

  /**
   * Has the console show a claim: it serves it where nobody does, and looks at it otherwise.
   * @param {Kept} kept
   * @param {() => void} drop
   */
  async function choose(kept, drop) {
    const { label, token } = kept
    if (label === current()) return close()
    const is = await servedBy(kept, claimsAt())
    if (is === 'gone') {
      drop()
      return tell(`${label} is gone.`)
    }
    if (is === 'unknown') return tell('The gateway does not answer.')
    if (is === 'another tab' && label === looked()) return close()
    switchTo({ label, token, look: is === 'another tab' })
  }
}
