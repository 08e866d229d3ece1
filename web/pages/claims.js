/**
 * The claims that pages of this browser hold or held, for the console to come back to one. They are
 * kept for all tabs, the newest first.
 */
import { button, make } from './element.js'
import { keepAll, recallAll } from './kept.js'

const keptAt = 'reversehttp claims'
const mostClaims = 20
const mostCharacters = 256
const pages = [
  'console',
  'inbox',
  'playground',
  'ask',
  'files',
  'chat',
  'mcp',
  'oauth',
  'websub',
  'mock',
]

/**
 * @typedef {object} Kept
 * @property {string} label
 * @property {string} token
 * @property {string} page the one that served it last
 * @property {number} seen when, in milliseconds
 */

/** @returns {Kept[]} */
export function claims() {
  return recallAll(keptAt, valid).slice(0, mostClaims)
}

/**
 * Keeps a claim, in place of what was kept of the same label.
 * @param {Kept} claim
 */
export function remember({ label, token, page, seen }) {
  keepClaims([{ label, token, page, seen }, ...others(label)])
}

/**
 * Notes that a claim was seen, where it is kept, and leaves it in its place.
 * @param {string} label
 * @param {number} seen
 */
export function noteSeen(label, seen) {
  keepClaims(claims().map((kept) => (kept.label === label ? { ...kept, seen } : kept)))
}

/** @param {string} label */
export function forget(label) {
  keepClaims(others(label))
}

/**
 * Makes the button that opens the list of claims, which is loaded then. It is hidden while there
 * are none.
 * @param {() => string | undefined} current returns the label that the console serves
 * @param {() => string | undefined} [looked] returns the label that it looks at
 */
export function claimsButton(current, looked = () => undefined) {
  const is = { id: 'claims', class: 'quiet', 'aria-expanded': 'false', hidden: !claims().length }
  /** @type {Promise<() => void> | undefined} */
  let toggle
  const opener = button(is, 'Claims ▾', async () => {
    toggle ??= import('./claims-menu.js').then(({ claimsMenu }) =>
      claimsMenu(opener, { current, looked }),
    )
    ;(await toggle)()
  })
  return make('span', { class: 'claims-box' }, opener)
}

/** @param {string} label */
function others(label) {
  return claims().filter((kept) => kept.label !== label)
}

/** @param {Kept[]} all */
function keepClaims(all) {
  keepAll(keptAt, all.slice(0, mostClaims))
}

/** @param {any} kept */
function valid(kept) {
  const text = (/** @type {unknown} */ of) => typeof of === 'string' && of.length <= mostCharacters
  return (
    text(kept?.label) && text(kept.token) && pages.includes(kept.page) && Number.isFinite(kept.seen)
  )
}
