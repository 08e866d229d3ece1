/** The webhook inbox: every request to the URL, signatures checked, the answer chosen in the page. */
import { claimPanel } from './claim-panel.js'
import { chosenAnswer } from './chosen-answer.js'
import { by, say } from './element.js'
import { ExchangeList } from './exchange-list.js'
import { checkSignatures } from './signature.js'

const answer = chosenAnswer()
const list = new ExchangeList(by('exchanges'), (count) => {
  say(by('count'), `${count} listed`)
  by('nothing').hidden = count > 0
})
let paused = false
let missed = 0
let round = 0

by('clear').addEventListener('click', () => list.clear())
by('pause').addEventListener('click', () => {
  paused = !paused
  missed = 0
  by('pause').setAttribute('aria-pressed', String(paused))
  told()
})
by('secret').addEventListener('input', async () => {
  const mine = ++round
  for (const exchange of list.exchanges.reverse()) {
    if (mine === round) await check(exchange)
  }
})
by('show-secret').addEventListener('change', () => {
  by('secret').type = by('show-secret').checked ? 'text' : 'password'
})

/** @param {import('./exchange-list.js').Exchange} exchange */
async function check(exchange) {
  const signatures = await checkSignatures(exchange, by('secret').value.trim())
  exchange.signatures = signatures
  list.update(exchange.id)
}

function told() {
  const words = missed === 1 ? '1 request' : `${missed} requests`
  say(by('paused'), paused ? `paused: ${words} answered and not listed` : '')
}

claimPanel({
  page: 'inbox',
  curl: (url) => `curl -i '${url}hook' -H 'Content-Type: application/json' -d '{"hello":"inbox"}'`,
  handler: async (_, info) => {
    if (paused) {
      missed++
      told()
    } else {
      list.begin(info)
      const begun = list.exchanges.find(({ id }) => id === info.id)
      if (begun) void check(begun)
    }
    return answer(info)
  },
  claimed: (claim) => {
    claim.addEventListener('exchange', (end) => {
      // One that was not listed when it began, while paused, is not listed when it ends.
      if (list.exchanges.some(({ id }) => id === end.request.id)) list.end(end)
    })
    claim.addEventListener('error', ({ message }) => say(by('claim-error'), message))
  },
})
