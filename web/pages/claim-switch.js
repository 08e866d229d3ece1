/** Which tab serves a claim of this browser, and the way of the console to it. */
import { forget, noteSeen } from './claims.js'
import { keep, storageOf } from './kept.js'
import { Refused } from './recordings.js'
import { forgetViewed, keepViewed, stateOf } from './viewing.js'

/**
 * Asks the gateway who serves a claim. One that is gone is forgotten.
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
 * Loads the console again with another claim: to look at it, or to serve it here.
 * @param {{ label: string, token: string, look: boolean }} claim
 */
export function switchTo({ label, token, look }) {
  if (look) keepViewed({ label, viewer: token, owner: true })
  else {
    forgetViewed()
    keep('console label', '')
    // Where the SDK keeps the claim of a page that asks for no label.
    const place = `reversehttp ${location.origin}/ `
    storageOf('console').setItem(place, JSON.stringify({ label, token }))
  }
  // What is open is not of that claim.
  history.replaceState(null, '', location.pathname)
  location.reload()
}
