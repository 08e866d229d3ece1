/** Finds out which tab serves a claim of this browser, and switches the console to a claim. */
import { forget, noteSeen } from './claims.js'
import { keep, storageOf } from './kept.js'
import { Refused } from './recordings.js'
import { forgetViewed, keepViewed, stateOf } from './viewing.js'

/**
 * Asks the gateway who serves a claim, and forgets a claim that is gone.
 * @param {{ label: string, token: string }} kept
 * @param {Promise<string>} at the URL of all claims
 * @returns {Promise<'another tab' | 'not served' | 'gone' | 'unknown'>}
 */
export async function servedBy({ label, token }, at) {
  try {
    const { sessions } = await stateOf({ label, viewer: token }, at)
    if (!sessions.some(({ parked }) => parked)) return 'not served'
    noteSeen(label, Date.now())
    return 'another tab'
  } catch (e) {
    if (!(e instanceof Refused && [403, 404].includes(e.status))) return 'unknown'
    forget(label)
    return 'gone'
  }
}

/**
 * Reloads the console with another claim, to view it or to serve it here.
 * @param {{ label: string, token: string, look: boolean }} claim
 */
export function switchTo({ label, token, look }) {
  if (look) keepViewed({ label, viewer: token, owner: true })
  else {
    forgetViewed()
    keep('console label', '')
    // Where the SDK stores the claim of a page that requests no label.
    const place = `reversehttp ${location.origin}/ `
    storageOf('console').setItem(place, JSON.stringify({ label, token }))
  }
  // The open exchange does not belong to that claim.
  history.replaceState(null, '', location.pathname)
  location.reload()
}
