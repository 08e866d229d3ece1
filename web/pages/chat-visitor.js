/*
 * Runs in the page of a visitor: uses a WebSocket if one opens, otherwise server-sent events and POST. The
 * page contains this text unchanged, so it is no module and imports nothing.
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
  // Over HTTP/1.1 a gateway has room for two sockets of a tab; further visitors use events.
  let sockets = true

  by('join').addEventListener('click', enter)
  by('send').addEventListener('click', send)
  // Pages of new claims may have no forms, so a listener handles Enter.
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
      say('The connection was lost. Trying again…')
      setTimeout(connect, pauseMs)
      pauseMs = Math.min(pauseMs * 2, lastPauseMs)
    })
  }

  function listen() {
    // EventSource reconnects by itself, and names the last event.
    const events = new EventSource(address('events'))
    events.addEventListener('open', () => say(''))
    events.addEventListener('said', ({ data }) => show(JSON.parse(data)))
    events.addEventListener('here', ({ data }) => count(JSON.parse(data)))
    events.addEventListener('error', () => {
      say('The connection was lost. Trying again…')
      if (events.readyState !== EventSource.CLOSED) return
      // The tab or the gateway refused, and then EventSource gives up.
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
      say(answer.status < 500 ? await answer.text() : 'That was not sent.')
    } catch {
      say('That was not sent.')
    }
    by('text').value ||= text
  }

  function show({ id, from, host, text }) {
    // After a reconnection messages are sent again.
    if (id <= newest) return
    newest = id
    const name = document.createElement('b')
    name.append(from)
    const line = document.createElement('p')
    // Text of a visitor affects only its own line, and cannot imitate this mark.
    const mark = document.createElement('small')
    mark.append('host')
    const words = document.createElement('bdi')
    words.append(text)
    line.append(name, ...(host ? [mark] : []), words)
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
