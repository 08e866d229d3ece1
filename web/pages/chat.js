/** Chat: this tab is the server for browsers, by WebSockets and events, and for curl. */
import { chatHandler } from './chat-handler.js'
import { Room } from './chat-room.js'
import { claimPanel } from './claim-panel.js'
import { by, make, say } from './element.js'
import { keep, recall } from './kept.js'
import { Pulse } from './pulse.js'

const title = document.title
let shown = 0
let unseen = 0

const pulse = new Pulse()
const room = new Room(draw)
pulse.listen(room.tellWho)

// Visitors get it with their page, so it is loaded before one comes.
const response = await fetch('/chat-visitor.js')
if (!response.ok) say(by('chat-error'), `The page for visitors is missing: ${response.status}.`)
const script = await response.text()

claimPanel({
  page: 'chat',
  inspect: false,
  handler: chatHandler(room, pulse, script),
  curl: (url) => `curl -N '${url}events' & curl '${url}messages' -d from=ann -d text=hello`,
  heard: pulse.beat,
  claimed: () => {},
  released: () => {},
})

by('name').value = recall('chat name') ?? by('name').value
by('name').addEventListener('change', () => keep('chat name', by('name').value))
by('say').addEventListener('submit', (/** @type {Event} */ e) => {
  e.preventDefault()
  const said = room.say({ from: by('name').value, text: by('text').value, host: true })
  if (typeof said === 'object') by('text').value = ''
})
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return
  unseen = 0
  document.title = title
})

function draw() {
  const log = by('log')
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
  for (const { id, from, host, text, at } of room.said) {
    if (id <= shown) continue
    shown = id
    if (document.hidden) unseen++
    const time = new Date(at).toLocaleTimeString([], { timeStyle: 'short' })
    const who = make('strong', { class: host ? 'mine' : '' }, make('bdi', {}, from))
    log.append(make('li', { 'data-id': id }, who, make('time', {}, time), make('p', {}, text)))
  }
  while (log.childElementCount > room.said.length) log.firstElementChild.remove()
  if (atEnd) log.scrollTop = log.scrollHeight
  by('silent').hidden = room.said.length > 0
  if (unseen) document.title = `(${unseen}) ${title}`
  const people = [...room.members].map(({ name, by, address }) =>
    make('li', {}, make('bdi', {}, name), make('small', {}, `${address}, by ${by}`)),
  )
  by('here').replaceChildren(...(people.length ? people : [make('li', {}, 'Only you, so far.')]))
}
draw()
