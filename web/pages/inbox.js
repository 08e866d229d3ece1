/** The webhook inbox: every request to the URL, signatures checked, the answer chosen in the page. */
import { chosenAnswer } from './chosen-answer.js'
import { contentOf } from './content.js'
import { by, say } from './element.js'
import { checkSignatures } from './signature.js'
import { workbench } from './workbench.js'

const most = 200
const mostBytes = 32 * 1024 * 1024

/** @typedef {import('./signature.js').Received} Received */
/** @type {Map<string, Received>} what is checked again when the secret changes; the oldest first */
const received = new Map()
let bytes = 0
let round = 0

const answer = chosenAnswer('inbox')
by('secret').addEventListener('input', async () => {
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
  first: 'own',
  curl: (url) => `curl -i '${url}hook' -H 'Content-Type: application/json' -d '{"hello":"inbox"}'`,
  handler: async (_, info) => {
    note(info.id, { headers: info.headers, content: info.content, receivedMs: Date.now() })
    return answer(info)
  },
  failed: (message) => say(by('claim-error'), message),
  // What came before this page was loaded is checked when it is looked at.
  opened: ({ exchange, request }) => {
    if (received.has(exchange.id) || exchange.requestCut) return
    const receivedMs = Date.parse(exchange.receivedAt)
    note(exchange.id, { headers: request.headers, content: contentOf(request), receivedMs })
  },
})

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
  const checks = await checkSignatures(of, by('secret').value.trim())
  const signed = checks.filter(({ is }) => is !== 'not signed')
  const marks = signed.map(({ scheme, is, why }) => ({ is, text: `${scheme}: ${is}`, title: why }))
  store.mark(id, marks.length ? marks : [{ is: 'none', text: 'not signed' }])
}
