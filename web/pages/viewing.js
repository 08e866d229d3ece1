/**
 * Looking at a claim that a program, or a colleague's page, serves. A link has the label and a token
 * that may look and change nothing: `/#label=LABEL&viewer=TOKEN`. No browser sends what follows `#`.
 */
import { keep, recall } from './kept.js'
import { ask } from './recordings.js'

const keptAt = 'console viewing'
const labels = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * @typedef {object} Viewing
 * @property {string} label
 * @property {string} viewer the token
 * @property {boolean} [owner] whether the token is that of the owner, who may do more than look
 */

/**
 * Returns what a link asks to look at. It is kept for a reload, and the token leaves the address.
 * @returns {Viewing | undefined}
 */
export function viewed() {
  const linked = viewingAt(location.hash)
  if (linked) {
    keepViewed(linked)
    history.replaceState(null, '', location.pathname)
    return linked
  }
  try {
    return JSON.parse(recall(keptAt) ?? '') ?? undefined
  } catch {
    return undefined
  }
}

/**
 * Has the console look at a claim when it is loaded again.
 * @param {Viewing} viewing
 */
export function keepViewed(viewing) {
  keep(keptAt, JSON.stringify(viewing))
}

export function forgetViewed() {
  keep(keptAt, null)
}

/**
 * @param {string} hash
 * @returns {Viewing | undefined}
 */
export function viewingAt(hash) {
  const query = new URLSearchParams(hash.slice(1))
  const label = query.get('label')
  const viewer = query.get('viewer')
  return label && viewer && labels.test(label) ? { label, viewer } : undefined
}

/** @param {Viewing} viewing */
export function linkOf({ label, viewer }) {
  return `${location.origin}/#${new URLSearchParams({ label, viewer })}`
}

/**
 * Asks for the state of a claim: its URL, where its recordings are, and who serves it.
 * @param {Viewing} viewing
 * @param {Promise<string>} [at] the URL of all claims
 * @returns {Promise<{ url: string, exchanges?: string, inspect?: boolean, sessions: { parked: boolean }[] }>}
 */
export async function stateOf({ label, viewer }, at) {
  return (await ask(await claimURL(label, at), viewer)).json()
}

/**
 * Mints a link by which somebody may look, in place of the one before; or ends it.
 * @param {{ label: string, token: string }} claim
 * @param {boolean} viewer
 * @returns {Promise<string | undefined>} the link
 */
export async function share({ label, token }, viewer) {
  const content = { method: 'PATCH', body: JSON.stringify({ viewer }) }
  const headers = { 'Content-Type': 'application/json' }
  const state = await (await ask(await claimURL(label), token, content, headers)).json()
  return state.viewerToken && linkOf({ label, viewer: state.viewerToken })
}

/** Asks the gateway for the URL of all claims. */
export async function claimsAt() {
  const { claims } = await (await fetch('/.well-known/reversehttp')).json()
  return claims
}

/**
 * Returns the URL of a claim at the control API.
 * @param {string} label
 */
export async function claimURL(label, at = claimsAt()) {
  return `${await at}/${encodeURIComponent(label)}`
}
