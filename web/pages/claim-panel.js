/** The part of a page that claims a label, tells the state of the claim and gives it up. */
import { serve } from '/sdk.js'
import { offerCopy } from './copy.js'
import { by, say } from './element.js'
import { keep, recall, storageOf } from './kept.js'
import { withWholeContent } from './whole.js'

const words = {
  none: 'not claimed',
  claiming: 'claiming…',
  online: 'online: visitors reach this page',
  reconnecting: 'reconnecting: visitors do not reach this page',
  closed: 'closed: this page answers nobody',
}

/**
 * Wires the panel. After a reload it claims the same label again.
 * @param {object} of
 * @param {string} of.page names the page among those that keep something in this tab
 * @param {import('/sdk.js').Handler} of.handler gets content whole
 * @param {(url: string) => string} of.curl the command to try it with
 * @param {(claim: import('/sdk.js').Claim) => void} of.claimed told of every new claim
 */
export function claimPanel({ page, handler, curl, claimed }) {
  const wish = `${page} label`
  /** @type {import('/sdk.js').Claim | undefined} */
  let claim

  offerCopy(by('copy-url'), () => by('url').href)
  offerCopy(by('copy-curl'), () => by('curl').textContent)
  by('claim-form').addEventListener('submit', (/** @type {Event} */ e) => {
    e.preventDefault()
    void start(by('label').value.trim())
  })
  by('give-up').addEventListener('click', giveUp)
  void describe()
  const kept = recall(wish)
  show('none')
  if (kept !== null) {
    by('label').value = kept
    void start(kept)
  }

  /** @param {string} label empty for one that the gateway picks */
  async function start(label) {
    show('claiming')
    say(by('claim-error'), '')
    try {
      claim = await serve(withWholeContent(handler), {
        label: label || undefined,
        key: by('key').value || undefined,
        storage: storageOf(page),
      })
    } catch (e) {
      show('none')
      say(by('claim-error'), reason(/** @type {any} */ (e)) ?? '')
      return
    }
    const mine = claim
    const typing = by('claim-form').contains(document.activeElement)
    keep(wish, label)
    by('url').href = claim.url
    say(by('url'), claim.url)
    say(by('curl'), curl(claim.url))
    show(claim.state)
    // The form is hidden, and the keyboard must stand somewhere.
    if (typing) by('url').focus()
    claim.addEventListener('statechange', ({ state, error }) => {
      if (mine === claim) show(state, reason(error))
    })
    claimed(claim)
  }

  async function giveUp() {
    by('give-up').disabled = true
    const given = claim
    claim = undefined
    keep(wish, null)
    try {
      await given?.delete()
      say(by('claim-error'), '')
    } catch (e) {
      say(by('claim-error'), `The gateway was not told: ${/** @type {Error} */ (e).message}`)
    }
    by('give-up').disabled = false
    show('none')
    by('label').focus()
  }

  /**
   * @param {keyof typeof words} state
   * @param {string} [why]
   */
  function show(state, why) {
    by('state').dataset.state = state
    say(by('state'), why ? `${words[state]} (${why})` : words[state])
    const held = state === 'online' || state === 'reconnecting'
    by('claimed').hidden = !held
    by('claim-form').hidden = held
    by('claim').disabled = state === 'claiming'
    if (state === 'closed') keep(wish, null)
  }
}

/** @param {import('/sdk.js').ReverseHttpError | undefined} error */
function reason(error) {
  return (
    error?.detail || (error?.code === 'network' ? 'the gateway does not answer' : error?.message)
  )
}

/** Asks the gateway whether it wants a key, and moves to its own origin where the page came by another. */
async function describe() {
  const response = await fetch('/.well-known/reversehttp').catch(() => undefined)
  if (!response?.ok) return
  const { claims, keyNeeded } = await response.json()
  const { origin } = new URL(claims)
  if (origin !== location.origin) location.replace(origin + location.pathname)
  by('key-row').hidden = !keyNeeded
}
