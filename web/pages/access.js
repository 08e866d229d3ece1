/**
 * Who may enter. The gateway enforces it before a visitor reaches this page, hashes the password and refuses
 * clients that guess: https://www.rfc-editor.org/rfc/rfc7617 and section 14 of the protocol.
 */
import { keep, recall } from './kept.js'
import { ask } from './recordings.js'
import { claimURL } from './viewing.js'

/** The name that goes with the password: gateways want one. */
export const user = 'files'
export const leaseS = 86_400
const keptAt = 'files access'

/**
 * @typedef {'anyone' | 'password' | 'links'} Mode
 *
 * @typedef {object} Kept
 * @property {Mode} mode
 * @property {string} password
 */

export class Access {
  /**
   * What the gateway enforces. The SDK sends it with every claim, so a gateway that started anew
   * enforces it before it hands on a visitor.
   * @type {import('../../sdk-js/src/envelope.js').Policy}
   */
  policy = {}
  /** @type {Kept} */
  #kept

  constructor() {
    this.#kept = kept()
    this.#lay(policyOf(this.#kept))
  }

  get mode() {
    return this.#kept.mode
  }

  get password() {
    return this.#kept.password
  }

  /**
   * Has the gateway let in others than before. Rejects where it refuses; nothing changes then.
   * @param {{ label: string, token: string }} claim
   * @param {Kept} wanted
   */
  async change({ label, token }, wanted) {
    const policy = policyOf(wanted)
    const before = { ...this.policy }
    // First here: where the claim is made anew meanwhile it is with the new policy.
    this.#lay(policy)
    try {
      const content = { method: 'PATCH', body: JSON.stringify({ policy }) }
      await ask(await claimURL(label), token, content, { 'Content-Type': 'application/json' })
    } catch (e) {
      this.#lay(before)
      throw e
    }
    this.#kept = wanted
    keep(keptAt, wanted.mode === 'anyone' ? null : JSON.stringify(wanted))
  }

  /**
   * Makes a link that lets in one browser.
   * @param {{ label: string, token: string }} claim
   * @returns {Promise<string>}
   */
  async link({ label, token }) {
    const { shares } = await (await ask(await claimURL(label), token)).json()
    const content = { method: 'POST', body: JSON.stringify({ lease: leaseS, once: true }) }
    const made = await ask(shares, token, content, { 'Content-Type': 'application/json' })
    return (await made.json()).url
  }

  /** @param {import('../../sdk-js/src/envelope.js').Policy} policy */
  #lay(policy) {
    // The SDK has this object, so its members change.
    for (const name of Object.keys(this.policy)) delete (/** @type {any} */ (this.policy)[name])
    Object.assign(this.policy, policy)
  }
}

/**
 * @param {Kept} wanted
 * @returns {import('../../sdk-js/src/envelope.js').Policy}
 */
export function policyOf({ mode, password }) {
  if (mode === 'password') return { basic: [{ user, password }], share: true }
  return mode === 'links' ? { share: true } : {}
}

/** @returns {Kept} */
function kept() {
  try {
    const { mode, password } = JSON.parse(recall(keptAt) ?? '')
    if (mode === 'links' || (mode === 'password' && typeof password === 'string')) {
      return { mode, password: password ?? '' }
    }
  } catch {}
  return { mode: 'anyone', password: '' }
}

// Without letters and digits that look alike.
const letters = 'abcdefghijkmnpqrstuvwxyz23456789'

/** Returns a password of 60 random bits that is easily read out. */
export function newPassword() {
  const bytes = crypto.getRandomValues(new Uint8Array(12))
  const all = Array.from(bytes, (b) => letters[b % letters.length]).join('')
  return all.match(/.{4}/g)?.join('-') ?? all
}
