/**
 * The webhook inbox: stores every request to the URL with its signature checked, then answers as the form
 * says.
 */
import { Bell } from './bell.js'
import { chosenAnswer } from './chosen-answer.js'
import { contentOf } from './content.js'
import { by, say } from './element.js'
import { forget, keep, webhook, webhooksOf } from './kept-webhooks.js'
import { checkSignatures } from './signature.js'
import { received as recordingOf } from './received.js'
import { setting } from './setting.js'
import { webhookPreset } from './webhook-preset.js'
import { workbench } from './workbench.js'

const most = 200
const mostBytes = 32 * 1024 * 1024
const retryAfterS = '30'

/** @typedef {import('./signature.js').Received} Received */
/** @type {Map<string, Received>} rechecked when the secret changes; the oldest first */
const received = new Map()
let bytes = 0
let round = 0
let label = ''

const answer = chosenAnswer('inbox')
const bell = new Bell(by('sound'), by('notify'), by('notify-note'), { page: 'inbox', rings: false })
setting(by('counts'), 'inbox counts', false)
const preset = webhookPreset(take, async () => {
  const mine = ++round
  for (const [id, of] of [...received].reverse()) {
    if (mine === round) await check(id, of)
  }
})
by('signing').addEventListener('submit', (/** @type {Event} */ e) => e.preventDefault())
by('show-secret').addEventListener('change', () => {
  by('secret').type = by('show-secret').checked ? 'text' : 'password'
})

const { store } = workbench({
  page: 'inbox',
  own: 'Answer and secret',
  first: 'exchange',
  curl: (url) => `curl -i '${url}hook' -H 'Content-Type: application/json' -d '{"hello":"inbox"}'`,
  handler: async (request, info) => {
    if (!info.body) {
      note(info.id, { headers: info.headers, content: info.content, receivedMs: Date.now() })
    }
    return preset.receive(request, info)
  },
  failed: (message) => say(by('claim-error'), message),
  counts: () => by('counts').checked,
  // Webhooks from before this page was loaded are checked when they are opened.
  opened: ({ exchange, request }) => {
    if (received.has(exchange.id) || exchange.requestCut) return
    const receivedMs = Date.parse(exchange.receivedAt)
    note(exchange.id, { headers: request.headers, content: contentOf(request), receivedMs })
  },
  stored: {
    rows: async (of) => {
      label = of
      return (await webhooksOf(of)).map(({ recording }) => recording.exchange)
    },
    one: async (id) => (await webhook(id))?.recording,
    clear: () => forget(label),
  },
})

/**
 * Stores a webhook, then answers it: a sender that gets 2xx does not send it again.
 * @param {Request} request
 * @param {import('/sdk.js').Info} info
 */
async function take(request, info) {
  const recording = await recordingOf(request, info)
  if (!recording) return new Response(null, { status: 413 })
  const { exchange } = recording
  const { id, requestBytes } = exchange
  const kept = { id, label, atMs: Date.parse(exchange.receivedAt), bytes: requestBytes, recording }
  try {
    await keep(kept)
  } catch (e) {
    const why = /** @type {Error} */ (e).message
    say(by('claim-error'), `Not stored, so the sender was asked to try again: ${why}`)
    return new Response(null, { status: 503, headers: { 'Retry-After': retryAfterS } })
  }
  bell.ring('', `${info.method} ${info.target}`)
  const response = await answer(info)
  exchange.status = response.status
  // A failure only affects how the row looks after a reload.
  keep(kept).catch(() => {})
  return response
}

/**
 * @param {string} id
 * @param {Received} of
 */
function note(id, of) {
  received.set(id, of)
  bytes += of.content.length
  for (const [oldest, { content }] of received) {
    if (received.size <= most && bytes <= mostBytes) break
    received.delete(oldest)
    bytes -= content.length
  }
  void check(id, of)
}

/**
 * @param {string} id
 * @param {Received} of
 */
async function check(id, of) {
  if (preset.preset) return store.mark(id, [await checkPreset(of)])
  const checks = await checkSignatures(of, by('secret').value.trim())
  const signed = checks.filter(({ is }) => is !== 'not signed')
  const marks = signed.map(({ scheme, is, why }) => ({ is, text: `${scheme}: ${is}`, title: why }))
  store.mark(id, marks.length ? marks : [{ is: 'none', text: 'not signed' }])
}

/** @param {Received} of */
async function checkPreset({ headers, content, receivedMs }) {
  const name = by('preset').selectedOptions[0].text
  const { verify } = preset
  if (!verify)
    return { is: 'not checked', text: `${name}: not checked`, title: 'the secret is none' }
  const { why } = await verify(
    headers.map(([name, value]) => [name, value]),
    new Uint8Array(content),
    receivedMs,
  )
  const is = why ? 'invalid' : 'valid'
  return { is, text: `${name}: ${is}`, title: why ?? 'the signature is right' }
}
