/*
 * Runs in the page of a visitor: a WebSocket where one opens, otherwise server-sent events and POST.
 * It stands in that page as it is here, so it is no module and imports nothing.
 */
'use strict'

{
  const by = (id) => document.getElementById(id)
  const here = new URL('.', location.href)
  const mostLines = 500
  const lastPauseMs = 30_000
  /** @type {WebSocket | undefined} */
  let socket
  let newest = 0
  let pauseMs = 1_000
  // A gateway over HTTP/1.1 has room for two sockets of a tab: others come by events.
  let sockets = true

  by('join').addEventListener('click', enter)
  by('send').addEventListener('click', send)
  // Pages of new claims may have no forms, so Enter is heard here.
  by('name').addEventListener('keydown', (e) => e.key === 'Enter' && !e.isComposing && enter())
  by('text').addEventListener('keydown', (e) => e.key === 'Enter' && !e.isComposing && send())

  function enter() {
    by('enter').hidden = true
    by('write').hidden = false
    by('text').focus()
    say('connecting…')
    connect()
  }

  function address(path) {
    const at = new URL(path, here)
    at.searchParams.set('name', by('name').value.trim() || 'somebody')
    return at
  }

  function connect() {
    if (!sockets) return listen()
    const at = address('socket')
    at.protocol = at.protocol.replace('http', 'ws')
    socket = new WebSocket(at)
    let opened = false
    socket.addEventListener('open', () => {
      opened = true
      pauseMs = 1_000
      say('')
    })
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(data)
      if (message.type === 'said') show(message.said)
      if (message.type === 'here') count(message.here)
      if (message.type === 'refused') say(message.why)
    })
    socket.addEventListener('close', () => {
      socket = undefined
      if (!opened) {
        sockets = false
        return listen()
      }
      say('The connection is gone. Trying again…')
      setTimeout(connect, pauseMs)
      pauseMs = Math.min(pauseMs * 2, lastPauseMs)
    })
  }

  function listen() {
    // It comes back by itself, and says which event was the last.
    const events = new EventSource(address('events'))
    events.addEventListener('open', () => say(''))
    events.addEventListener('said', ({ data }) => show(JSON.parse(data)))
    events.addEventListener('here', ({ data }) => count(JSON.parse(data)))
    events.addEventListener('error', () => {
      say('The connection is gone. Trying again…')
      if (events.readyState !== EventSource.CLOSED) return
      // The tab or the gateway refused: EventSource gives up then.
      setTimeout(connect, pauseMs)
      pauseMs = Math.min(pauseMs * 2, lastPauseMs)
    })
  }

  async function send() {
    const text = by('text').value.trim()
    if (!text) return
    by('text').value = ''
    say('')
    if (socket?.readyState === WebSocket.OPEN) return socket.send(JSON.stringify({ text }))
    const content = JSON.stringify({ from: by('name').value, text })
    const headers = { 'Content-Type': 'application/json' }
    try {
      const answer = await fetch(new URL('messages', here), {
        method: 'POST',
        headers,
        body: content,
      })
      if (answer.ok) return
      say(answer.status < 500 ? await answer.text() : 'Nobody heard that.')
    } catch {
      say('Nobody heard that.')
    }
    by('text').value ||= text
  }

  function show({ id, from, host, text }) {
    // What was said is told again after a connection broke.
    if (id <= newest) return
    newest = id
    const name = document.createElement('b')
    name.append(host && from !== 'host' ? `${from} (host)` : from)
    const line = document.createElement('p')
    line.append(name, text)
    const item = document.createElement('li')
    item.append(line)
    const log = by('log')
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
    log.append(item)
    if (log.childElementCount > mostLines) log.firstElementChild.remove()
    if (atEnd) log.scrollTop = log.scrollHeight
  }

  function count(people) {
    const names = people.map(({ name }) => name)
    by('here').textContent = `Here: the host${names.length ? `, ${names.join(', ')}` : ''}`
  }

  function say(text) {
    by('said').textContent = text
  }
}
