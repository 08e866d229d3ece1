/**
 * The chat over HTTP. Visitors receive messages as server-sent events
 * (https://html.spec.whatwg.org/#server-sent-events) or by a WebSocket, and send them by POST or by that
 * WebSocket.
 *
 *   GET  /           the page of a visitor
 *   GET  /events     `event: said` and `event: here`; Last-Event-ID resumes after that event
 *   GET  /socket     the same as messages {"type":"said",…}; accepts {"text":"…"}
 *   POST /messages   {"from":"ann","text":"hello"}, a form, or the text itself
 *   GET  /messages   what was said, as JSON
 */
import { hostOf } from './address.js'
import { visitorPage } from './chat-visitor-page.js'
import { nameOf } from './chat-room.js'

/** @typedef {import('./chat-room.js').Room} Room */
/** @typedef {import('./chat-room.js').Member} Member */

const quietMs = 15_000
// The most messages that wait for a visitor who reads nothing; more end the connection.
const mostWaiting = 300
const mostWaitingBytes = 1 << 20
const messageBytes = 16 * 1024
// After so many refused messages in a row, the member is removed.
const mostRefused = 20

/**
 * Returns the handler.
 * @param {Room} room
 * @param {import('./pulse.js').Pulse} pulse
 * @param {string} script the script of a visitor's page
 * @returns {import('/sdk.js').Handler}
 */
export function chatHandler(room, pulse, script) {
  return (request, info) => {
    const { pathname, searchParams } = new URL(request.url)
    if (info.method === 'OPTIONS') return preflight()
    const reads = info.method === 'GET' || info.method === 'HEAD'
    if (pathname === '/messages') {
      if (info.method === 'POST') return post(room, request, info)
      return reads ? answer(200, { messages: room.said }) : not('GET, HEAD, POST')
    }
    if (!['/', '/events', '/socket'].includes(pathname)) return answer(404, 'The chat is at /.')
    if (!reads) return not('GET, HEAD')
    if (pathname === '/') return visitorPage(info.url, script)
    const address = hostOf(info.remoteAddr)
    const name = nameOf(searchParams.get('name'))
    if (pathname === '/events') return events(room, pulse, request, info, { name, address })
    if (!info.upgrade) return answer(426, 'This is for WebSockets.', { Upgrade: 'websocket' })
    return socket(room, info.upgrade, { name, address })
  }
}

/**
 * @param {Room} room
 * @param {import('./pulse.js').Pulse} pulse
 * @param {Request} request
 * @param {import('/sdk.js').Info} info
 * @param {{ name: string, address: string }} who
 */
function events(room, pulse, request, info, who) {
  const headers = { ...fields, 'Content-Type': 'text/event-stream' }
  if (info.method === 'HEAD') return new Response(null, { headers })
  const after = Number(request.headers.get('Last-Event-ID')) || 0
  const encoder = new TextEncoder()
  /** @type {ReturnType<Room['join']>} */
  let refused
  let leave = () => {}
  /** @type {ReadableStream<Uint8Array>} */
  const content = new ReadableStream(
    {
      start(controller) {
        let saidMs = pulse.now()
        const write = (/** @type {string} */ text) => {
          saidMs = pulse.now()
          controller.enqueue(encoder.encode(text))
          if ((controller.desiredSize ?? 0) > 0) return
          leave()
          controller.error(new Error('the visitor reads nothing'))
        }
        /** @type {Member} */
        const member = {
          ...who,
          by: 'events',
          hear: (type, what) => write(eventOf(type, what)),
        }
        const end = pulse.listen(() => {
          if (pulse.now() - saidMs >= quietMs) write(': still here\n\n')
        })
        leave = () => {
          end()
          room.leave(member)
        }
        // EventSource reports that it is open only after it receives something.
        write(': welcome\n\n')
        refused = room.join(member, after)
        if (refused) leave()
      },
      cancel: () => leave(),
    },
    { highWaterMark: mostWaiting },
  )
  if (!refused) return new Response(content, { headers })
  void content.cancel()
  return notIn(refused)
}

/**
 * Returns an event. Messages have an id, so that EventSource resumes after the newest.
 * @param {string} type
 * @param {any} what
 */
function eventOf(type, what) {
  const id = type === 'said' ? `id: ${what.id}\n` : ''
  return `event: ${type}\n${id}data: ${JSON.stringify(what)}\n\n`
}

/**
 * @param {Room} room
 * @param {NonNullable<import('/sdk.js').Info['upgrade']>} upgrade
 * @param {{ name: string, address: string }} who
 */
function socket(room, upgrade, who) {
  /** @type {ReturnType<typeof upgrade> | undefined} */
  let taken
  /** @type {string[]} messages from before the connection is there */
  const first = []
  /** @type {Member} */
  const member = {
    ...who,
    by: 'WebSocket',
    hear: (type, what) => {
      const text = JSON.stringify({ ...(type === 'said' ? { said: what } : { here: what }), type })
      if (!taken) return void first.push(text)
      if (taken.bufferedAmount < mostWaitingBytes) return taken.send(text)
      room.leave(member)
      taken.close(1008, 'too slow')
    },
  }
  // If there is no room, the visitor gets an answer instead of a connection that ends at once.
  const refused = room.join(member)
  if (refused) return notIn(refused)
  const mine = (taken = upgrade({ messageBytes }))
  for (const text of first) mine.send(text)
  let inVain = 0
  mine.onmessage = ({ data }) => {
    // Messages may still arrive after the member was removed.
    if (!room.members.has(member)) return
    const said = room.say({ from: who.name, text: textOf(data), address: who.address })
    if (typeof said === 'object') inVain = 0
    else if (++inVain < mostRefused) mine.send(JSON.stringify({ type: 'refused', why: why[said] }))
    else {
      room.leave(member)
      mine.close(1008, 'too fast')
    }
  }
  mine.onclose = () => room.leave(member)
  return undefined
}

/** @param {unknown} data */
function textOf(data) {
  if (typeof data !== 'string') return undefined
  try {
    return JSON.parse(data).text
  } catch {
    return data
  }
}

/**
 * @param {Room} room
 * @param {Request} request
 * @param {import('/sdk.js').Info} info
 */
function post(room, request, info) {
  if (info.content.length > messageBytes) return answer(413, why.long)
  const text = new TextDecoder().decode(info.content)
  const type = request.headers.get('Content-Type') ?? ''
  /** @type {any} */
  let what = { text }
  if (/json/i.test(type)) {
    try {
      what = JSON.parse(text) ?? {}
    } catch {
      return answer(400, 'The content is not JSON: {"from": "ann", "text": "hello"}.')
    }
  } else if (/x-www-form-urlencoded/i.test(type)) {
    const form = new URLSearchParams(text)
    // curl -d 'any text' also declares a form.
    if (form.has('text')) what = { text: form.get('text'), from: form.get('from') }
  }
  const address = hostOf(info.remoteAddr)
  const said = room.say({ from: what.from, text: what.text, address })
  if (typeof said === 'object') return answer(201, said)
  if (said === 'fast') return answer(429, why.fast, { 'Retry-After': '10' })
  return answer(said === 'long' ? 413 : 400, why[said])
}

const why = {
  empty: 'Say something: the content is the text, or JSON with "text".',
  long: 'That is too long: 2000 characters at most.',
  fast: 'That is too fast: ten messages in ten seconds at most.',
}

// Below a path a visitor's page has its own origin, and a chat is open to everyone who has its URL.
const fields = { 'Cache-Control': 'no-store', 'Access-Control-Allow-Origin': '*' }

/** @param {'full' | 'often'} refused */
function notIn(refused) {
  if (refused === 'full') {
    return answer(503, 'The chat is full.', { 'Retry-After': '30' })
  }
  return answer(429, 'You join too often. Try again later.', { 'Retry-After': '10' })
}

/** @param {string} allow */
function not(allow) {
  return answer(405, `Only ${allow}.`, { Allow: allow })
}

function preflight() {
  const allowed = { 'Access-Control-Allow-Headers': 'Content-Type, Last-Event-ID' }
  return new Response(null, { status: 204, headers: { ...fields, ...allowed } })
}

/**
 * @param {number} status
 * @param {unknown} said text, or a value to send as JSON
 * @param {Record<string, string>} [more]
 */
function answer(status, said, more = {}) {
  const text = typeof said === 'string'
  const type = text ? 'text/plain; charset=utf-8' : 'application/json'
  const headers = { ...fields, 'Content-Type': type, ...more }
  return new Response(text ? `${said}\n` : JSON.stringify(said), { status, headers })
}
