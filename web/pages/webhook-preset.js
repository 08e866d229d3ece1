/**
 * The sender whose webhooks the inbox accepts: the form for preset and secret, and how to receive and verify
 * by it.
 */
import { by, say } from './element.js'

/**
 * @typedef {import('../../sdk-js/src/receive.js').Preset} Preset
 * @typedef {import('../../sdk-js/src/receive.js').Verify} Verify
 * @typedef {(request: Request, info: import('/sdk.js').Info) => Promise<Response>} Receiver
 */

const helps = {
  '': 'Any: every request is accepted, and signatures of GitHub and Standard Webhooks are checked with the secret.',
  standard: 'whsec_ and base64 (HMAC), or whpk_ and base64 (ed25519). MCP Events sign so, too.',
  github: 'Any text, as in the settings of the webhook at GitHub.',
  stripe: 'whsec_…, as Stripe shows it for the endpoint.',
  slack: 'The signing secret of the app, not its token.',
  discord: 'The public key of the application: 64 hexadecimal digits.',
  websub:
    'The hub.secret of the subscription; without it anybody may send. Every topic is confirmed.',
  cloudevents: 'A bearer token; without it anybody may send. Every sender gets permission.',
}

/**
 * Wires the form. Neither secret nor preset is stored: after a reload the inbox accepts every request again.
 * @param {(request: Request, info: import('/sdk.js').Info) => Promise<Response>} handle called with accepted webhooks
 * @param {() => void} changed called when the verifier changed
 */
export function webhookPreset(handle, changed) {
  /** @type {Receiver | undefined} */
  let receiver
  /** @type {Verify | undefined} */
  let verify
  let round = 0
  for (const id of ['preset', 'secret']) by(id).addEventListener('input', () => void choose())
  say(by('secret-note'), helps[''])
  return {
    /** @type {Receiver} */
    receive(request, info) {
      if (!preset()) return handle(request, info)
      if (receiver) return receiver(request, info)
      // The secret is being typed, so the sender should try again.
      return Promise.resolve(new Response(null, { status: 503, headers: { 'Retry-After': '10' } }))
    },
    /** Verifies with the chosen preset; undefined if none is chosen, or if its secret is invalid. */
    get verify() {
      return verify
    },
    get preset() {
      return preset()
    },
  }

  function preset() {
    return /** @type {Preset | ''} */ (by('preset').value)
  }

  async function choose() {
    const mine = ++round
    const chosen = preset()
    receiver = verify = undefined
    say(by('secret-note'), helps[chosen])
    by('secret-note').dataset.is = ''
    if (chosen) {
      const { receive, verifier } = await import('/sdk/receive.js')
      if (mine !== round) return
      const secret = by('secret').value.trim()
      try {
        verify = verifier(chosen, secret)
        receiver = receive({ preset: chosen, secret, topic: '*', unsubscribe: true }, handle)
        by('secret-note').dataset.is = 'right'
      } catch (e) {
        verify = undefined
        by('secret-note').dataset.is = 'wrong'
        const why = /** @type {Error} */ (e).message
        say(by('secret-note'), `${helps[chosen]} (${why}. Until then senders get 503.)`)
      }
    }
    changed()
  }
}
