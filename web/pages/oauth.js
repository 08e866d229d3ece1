/** OAuth callback: the redirect URI of a sign-in is this tab. */
import { claimPanel } from './claim-panel.js'
import { offerCopy } from './copy.js'
import { by, make, say } from './element.js'
import { keep, recall } from './kept.js'
import { callbackHandler } from './oauth-callback.js'
import { begin, claimsOf, discover, exchange, exchangeCommand, waitMs } from './oauth-flow.js'

const fields = ['issuer', 'client', 'scope']
const mostRows = 50
let redirect = ''
/** @type {import('./oauth-flow.js').Flow | undefined} */
let waiting
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer

claimPanel({
  page: 'oauth',
  // Codes must not appear in anyone's list.
  inspect: false,
  handler: callbackHandler(() => waiting, answered),
  curl: (url) => `curl -i '${url}callback?code=x&state=y'`,
  claimed: ({ url }) => {
    const changed = redirect && redirect !== `${url}callback`
    redirect = `${url}callback`
    say(by('redirect'), redirect)
    if (changed) wait(undefined, 'The URL changed: register the new one, and sign in again.')
  },
  released: () => wait(undefined, 'The URL was given up.'),
})
offerCopy(by('copy-redirect'), () => redirect)
offerCopy(by('copy-command'), () => by('command').textContent)

for (const field of fields) {
  by(field).value = recall(`oauth ${field}`) ?? by(field).value
  by(field).addEventListener('change', () => keep(`oauth ${field}`, by(field).value))
}
by('form').addEventListener('submit', async (/** @type {Event} */ e) => {
  e.preventDefault()
  if (!redirect) return
  const [issuer, id, scope] = fields.map((field) => by(field).value.trim())
  const client = { id, scope, secret: by('secret').value, redirect }
  wait(undefined, 'Asking the provider for its page to sign in…')
  by('sign-in').disabled = true
  try {
    const flow = await begin(await discover(issuer), client)
    wait(flow, 'Waiting for the provider to send the browser back…')
    by('open').href = flow.url
    open(flow.url, '_blank', 'noopener')
  } catch (e) {
    fail(/** @type {Error} */ (e))
  }
  by('sign-in').disabled = false
})

/**
 * Waits for the answer to a sign-in; undefined ends the wait.
 * @param {import('./oauth-flow.js').Flow | undefined} flow
 * @param {string} said
 */
function wait(flow, said) {
  waiting = flow
  clearTimeout(timer)
  if (flow)
    timer = setTimeout(() => wait(undefined, 'Nobody signed in within ten minutes.'), waitMs)
  by('open').hidden = !flow
  by('by-hand').hidden = true
  by('result').hidden = true
  say(by('oauth-error'), '')
  say(by('progress'), said)
}

/**
 * @param {import('./oauth-flow.js').Flow} flow
 * @param {{ code: string } | { refused: string }} answer
 */
async function answered(flow, answer) {
  if ('refused' in answer) {
    wait(undefined, '')
    return say(by('oauth-error'), `The provider refused: ${answer.refused}`)
  }
  wait(undefined, 'The code is here. Exchanging it for tokens…')
  try {
    show(await exchange(flow, answer.code))
  } catch (e) {
    fail(/** @type {Error} */ (e))
    // fetch does not say why it failed; the user can still go on by hand.
    say(by('command'), exchangeCommand(flow, answer.code))
    by('by-hand').hidden = false
  }
}

/** @param {Record<string, unknown>} tokens */
function show(tokens) {
  say(by('progress'), 'Signed in: the provider accepted the code and its proof.')
  by('result').hidden = false
  const claims = Object.entries(claimsOf(tokens.id_token) ?? { scope: tokens.scope ?? 'not said' })
  by('who').tBodies[0].replaceChildren(
    ...claims.slice(0, mostRows).map(([name, value]) => {
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      return make('tr', {}, make('th', { scope: 'row' }, name), make('td', {}, text))
    }),
  )
  say(by('tokens'), JSON.stringify(tokens, null, 2))
}

/** @param {Error} error */
function fail(error) {
  wait(undefined, '')
  const blocked = error instanceof TypeError ? ' It may not be there, or let no page ask it.' : ''
  say(by('oauth-error'), `${error.message}${blocked}`)
}
