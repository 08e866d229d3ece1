/** The console: a URL at once, answered by a built-in handler, and the requests to it. */
import { chosenAnswer } from './chosen-answer.js'
import { by, say } from './element.js'
import { keep, recall } from './kept.js'
import { viewed, viewingAt } from './viewing.js'
import { workbench } from './workbench.js'

const kinds = {
  inbox: 'Every request is answered with 200 and {"ok":true}.',
  echo: 'Every request is answered with what it was: method, target, fields and content. A WebSocket has its messages sent back.',
  own: '',
}

const own = chosenAnswer('console')
const choice = by('handler')
const kept = recall('console handler') ?? ''
choice.value = kept in kinds ? kept : 'inbox'
describe()
choice.addEventListener('change', () => {
  keep('console handler', choice.value)
  describe()
})

const { showOwn } = workbench({
  viewing: viewed(),
  page: 'console',
  own: 'Answer',
  first: 'exchange',
  curl: (url) => `curl -i '${url}hook' -H 'Content-Type: application/json' -d '{"hello":"you"}'`,
  handler: (request, info) => answer(request, info),
  failed: (message) => say(by('claim-error'), message),
})
choice.addEventListener('change', showOwn)
// A link that was pasted into this tab.
addEventListener('hashchange', () => viewingAt(location.hash) && location.reload())

/** @type {import('/sdk.js').Handler} */
async function answer(request, info) {
  if (choice.value === 'own') return own(info)
  if (choice.value === 'inbox') return Response.json({ ok: true })
  if (info.upgrade) {
    const socket = info.upgrade()
    socket.onmessage = ({ data }) => socket.send(data)
    return undefined
  }
  const { method, target, remoteAddr } = info
  /** @type {Map<string, string | string[]>} */
  const headers = new Map()
  for (const [name, value] of info.headers) {
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : [before, value].flat())
  }
  const content = await request.text()
  return Response.json({
    method,
    target,
    remoteAddr,
    headers: Object.fromEntries(headers),
    content,
  })
}

function describe() {
  const kind = /** @type {keyof typeof kinds} */ (choice.value)
  say(by('handler-note'), kinds[kind])
  by('answer').hidden = kind !== 'own'
}
