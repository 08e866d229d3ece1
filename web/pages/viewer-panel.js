/** The part of the console for a claim that it only views. */
import { claimsButton } from './claims.js'
import { offerCopy } from './copy.js'
import { button, by, make, say } from './element.js'
import { forgetViewed, stateOf } from './viewing.js'

/**
 * @param {object} options
 * @param {import('./viewing.js').Viewing} options.viewing
 * @param {(url: string) => string} options.curl
 * @param {(at: import('./recordings.js').At) => Promise<unknown>} options.found watches, until the claim is gone
 */
export async function viewerPanel({ viewing, curl, found }) {
  const { label, viewer, owner } = viewing
  const own = button({ id: 'own-claim' }, 'Claim one of your own', () => {
    forgetViewed()
    // The open exchange does not belong to that claim.
    history.replaceState(null, '', location.pathname)
    location.reload()
  })
  const copy = button({ id: 'copy-url', class: 'quiet' }, 'Copy URL', () => {})
  const state = make('strong', { id: 'state', role: 'status', 'data-state': 'claiming' }, 'asking…')
  by('claim-panel').append(
    make(
      'div',
      { class: 'claim-line' },
      state,
      make(
        'span',
        { class: 'row claim-url' },
        make('a', { id: 'url', target: '_blank', rel: 'noopener' }),
        copy,
      ),
      make(
        'span',
        { class: 'row claim-actions' },
        own,
        claimsButton(
          () => undefined,
          () => label,
        ),
      ),
    ),
    make('p', { id: 'viewing-note', class: 'faint' }, 'A program or another page answers here.'),
    make('p', { id: 'claim-error', class: 'fault', role: 'alert' }),
  )
  offerCopy(copy, () => by('url').href)
  copy.hidden = true
  try {
    const { url, exchanges, inspect } = await stateOf(viewing)
    by('url').href = url
    say(by('url'), url)
    say(by('first-curl'), curl(url))
    copy.hidden = false
    tell('online', 'looking')
    if (!exchanges || !inspect) throw new Error('its exchanges are not recorded')
    await found({ exchanges, token: viewer, viewer: !owner })
    tell('closed', 'over: the claim or the link ended')
  } catch (e) {
    tell('closed', 'not to be seen')
    say(by('claim-error'), `${label}: ${/** @type {Error} */ (e).message}`)
  }

  /**
   * @param {string} is
   * @param {string} words
   */
  function tell(is, words) {
    state.dataset.state = is
    say(state, words)
  }
}
