/** The part of a page that claims a label, shows the state of the claim and gives it up. */
import { serve } from '/sdk.js'
import { claims, claimsButton, forget, remember } from './claims.js'
import { offerCopy } from './copy.js'
import { button, by, make, say } from './element.js'
import { keep, recall, storageOf } from './kept.js'
import { LinkWatch } from './link-watch.js'
import { mostPlaces, withPlaces, withWholeContent } from './shares.js'

const words = {
  none: 'not claimed',
  claiming: 'claiming…',
  online: 'online',
  reconnecting: 'reconnecting: visitors do not reach this page',
  standby: 'standing by: another tab answers, and this page when that goes',
  closed: 'closed: this page answers nobody',
}
const pattern = '[a-z0-9]([a-z0-9\\-]*[a-z0-9])?'

/**
 * @typedef {object} PanelOptions
 * @property {string} page names the page among those that keep something in this tab
 * @property {import('/sdk.js').Handler} handler gets content whole
 * @property {(url: string) => string} curl the command to try it with
 * @property {(claim: import('/sdk.js').Claim, link: LinkWatch) => void} claimed called with every new claim,
 * and the source of its recordings
 * @property {() => void} released called when the page no longer has a claim
 * @property {() => void} [heard] called with each message by the link of the claim
 * @property {number} [timeoutMs] how long visitors wait for an answer; absent: the gateway's default
 * @property {import('../../sdk-js/src/envelope.js').Policy} [policy] what the gateway enforces of
 *   visitors; the members that it has when a claim is made count
 * @property {boolean} [inspect] whether the gateway records exchanges, for others to look at too
 */

/**
 * Fills the panel, and claims: the label that the page had before a reload, or one that the
 * gateway picks.
 * @param {PanelOptions} options
 */
export function claimPanel(options) {
  const { page, handler, curl, claimed, released, heard, timeoutMs } = options
  const { policy, inspect = true } = options
  const answer = withPlaces(withWholeContent(handler))
  const wish = `${page} label`
  /** @type {import('/sdk.js').Claim | undefined} */
  let claim
  fill(by('claim-panel'))
  if (page === 'console') by('another').after(claimsButton(() => held()?.label))

  offerCopy(by('copy-url'), () => by('url').href)
  offerCopy(by('copy-curl'), () => by('curl').textContent)
  by('claim-form').addEventListener('submit', (/** @type {Event} */ e) => {
    e.preventDefault()
    void start(by('label').value.trim())
  })
  by('give-up').addEventListener('click', giveUp)
  by('another').addEventListener('click', () => ask(by('claim-form').hidden))
  by('share').addEventListener('click', async () => {
    const { offerShare } = await import('./share.js')
    if (claim) void offerShare(claim)
  })
  by('qr').addEventListener('click', async () => {
    const { showQR } = await import('./share.js')
    showQR(by('url').href)
  })
  by('claim-form').addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (e.key !== 'Escape' || !claim) return
    e.stopPropagation()
    ask(false)
    by('another').focus()
  })
  // Nothing is there to look at.
  if (!inspect) by('share').remove()
  addEventListener('pagehide', note)
  void describe()
  const kept = recall(wish) ?? ''
  by('label').value = kept
  void start(kept)

  /** @param {boolean} open whether the form asks for a label */
  function ask(open) {
    by('claim-form').hidden = !open
    by('another').setAttribute('aria-expanded', `${open}`)
    if (open) by('label').focus()
  }

  /** @param {string} label empty for one that the gateway picks */
  async function start(label) {
    const before = claim
    const typing = by('claim-form').contains(document.activeElement)
    claim = undefined
    show('claiming')
    say(by('claim-error'), '')
    // The claim of this page that the gateway picked is remembered by the same name as the next.
    if (before && !label) await end(before).catch(() => {})
    const link = new LinkWatch(heard)
    try {
      claim = await serve(answer, {
        label: label || undefined,
        concurrency: mostPlaces,
        key: by('key').value || undefined,
        storage: storageOf(page),
        inspect,
        timeoutMs,
        policy,
        WebSocket: link.WebSocket,
      })
    } catch (e) {
      say(by('claim-error'), reason(/** @type {any} */ (e)) ?? '')
      if (before && before.state !== 'closed') {
        claim = before
        show(before.state)
        ask(true)
      } else {
        show('none')
        released()
      }
      return
    }
    if (before && label && before.label !== claim.label) void end(before).catch(() => {})
    const mine = claim
    note()
    keep(wish, label)
    by('url').href = claim.url
    say(by('url'), claim.url)
    say(by('curl'), curl(claim.url))
    show(claim.state)
    ask(false)
    // The form is hidden, and the keyboard must stand somewhere.
    if (typing) by('url').focus()
    claim.addEventListener('statechange', ({ state, error }) => {
      if (mine !== claim) return
      show(state, reason(error))
      if (state === 'online') claimed(mine, link)
      if (state === 'closed') released()
    })
    claimed(claim, link)
  }

  async function giveUp() {
    by('give-up').disabled = true
    const given = claim
    claim = undefined
    keep(wish, null)
    try {
      if (given) await end(given)
      say(by('claim-error'), '')
    } catch (e) {
      say(by('claim-error'), `The gateway was not informed: ${/** @type {Error} */ (e).message}`)
    }
    by('give-up').disabled = false
    show('none')
    released()
    by('label').focus()
  }

  function held() {
    return claim?.state === 'closed' ? undefined : claim
  }

  /** Keeps the claim among those of this browser. */
  function note() {
    const of = held()
    if (of) remember({ label: of.label, token: of.token, page, seen: Date.now() })
    by('claims')?.toggleAttribute('hidden', !claims().length)
  }

  /** @param {import('/sdk.js').Claim} given */
  async function end(given) {
    await given.delete()
    forget(given.label)
    note()
  }

  /**
   * @param {keyof typeof words} state
   * @param {string} [why]
   */
  function show(state, why) {
    by('state').dataset.state = state
    say(by('state'), why ? `${words[state]} (${why})` : words[state])
    const held = state === 'online' || state === 'reconnecting' || state === 'standby'
    for (const part of document.querySelectorAll('.when-claimed')) {
      part.toggleAttribute('hidden', !held)
    }
    by('claim').disabled = state === 'claiming'
    if (state === 'none' || state === 'closed') by('claim-form').hidden = false
    if (state === 'closed') keep(wish, null)
  }
}

/** @param {HTMLElement} panel */
function fill(panel) {
  const held = 'row when-claimed'
  const act = { class: 'quiet when-claimed', hidden: true }
  panel.append(
    make(
      'div',
      { class: 'claim-line' },
      make('strong', { id: 'state', role: 'status', 'data-state': 'none' }, words.claiming),
      make(
        'span',
        { class: `${held} claim-url`, hidden: true },
        make('a', { id: 'url', target: '_blank', rel: 'noopener' }),
        button({ id: 'copy-url', class: 'quiet' }, 'Copy URL', () => {}),
        button({ id: 'qr', class: 'quiet', 'aria-haspopup': 'dialog' }, 'QR', () => {}),
      ),
      make(
        'span',
        { class: 'row claim-actions' },
        button({ id: 'share', ...act, 'aria-haspopup': 'dialog' }, 'Share…', () => {}),
        button({ id: 'another', ...act, 'aria-expanded': 'false' }, 'Another label…', () => {}),
        button({ id: 'give-up', ...act }, 'Give it up', () => {}),
      ),
    ),
    make(
      'div',
      { class: 'try-line when-claimed', hidden: true },
      make('span', { class: 'faint' }, 'Try it'),
      make('code', {
        id: 'curl',
        tabindex: '0',
        role: 'group',
        'aria-label': 'A command to try it',
      }),
      button({ id: 'copy-curl', class: 'quiet' }, 'Copy command', () => {}),
    ),
    make('p', { id: 'claim-error', class: 'fault', role: 'alert' }),
    claimForm(),
  )
}

function claimForm() {
  const label = { id: 'label', maxlength: 63, pattern, placeholder: 'picked for you' }
  const typing = { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }
  const about = { 'aria-describedby': 'label-rule' }
  return make(
    'form',
    { id: 'claim-form', hidden: true },
    make(
      'p',
      {},
      make('label', { for: 'label' }, 'Label'),
      make('input', { ...label, ...typing, ...about }),
    ),
    make(
      'p',
      { id: 'key-row', hidden: true },
      make('label', { for: 'key' }, 'Key of this gateway'),
      make('input', { id: 'key', type: 'password', autocomplete: 'off' }),
    ),
    make('button', { id: 'claim', class: 'primary' }, 'Claim'),
    make(
      'small',
      { id: 'label-rule' },
      'Lower case letters, digits and hyphens; leave it empty to let the gateway pick one.',
    ),
  )
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
  if (origin !== location.origin) location.replace(origin + location.pathname + location.hash)
  by('key-row').hidden = !keyNeeded
}
