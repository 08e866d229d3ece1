// A gateway that follows a script and remembers its requests: schema/vectors/README.md.
import { createServer } from 'node:http'
import { once } from 'node:events'
import { frame, media, unframe } from './framed.js'
import { offerLinks } from './scripted-link.js'

/** The limits; a script may lower some. */
export const limits = {
  inlineBytes: 65536,
  contentBytes: 1 << 30,
  partBytes: 262144,
  waitSeconds: 25,
  batch: 64,
  answerBytes: 1 << 20,
  sessions: 8,
  queue: 64,
}

/**
 * Starts a gateway for one script: lists of replies for `claims`, `requests`, `responses`, `content` and
 * `session`, the path `base`, the `transports`, the `exchanges` of a claim's answer, and `limits`. A reply
 * may be a function of the request's JSON. A claim's answer has a `link` if the script has `links`, which
 * describes the result of each opened link, or `link`, for which link-gateway.js answers. The gateway speaks
 * the framed form if `limits` has `framedInlineBytes`; in scripts and in `seen`, messages are JSON.
 */
export async function scriptedGateway(script = {}) {
  const seen = {
    claims: [],
    polls: [],
    forms: [],
    answers: [],
    posts: [],
    contents: [],
    sessions: [],
    requests: [],
    framed: [],
    links: [],
    acked: [],
    pongs: 0,
  }
  const replies = lists(script)
  const parked = []
  const streams = []
  const framed = !!script.limits?.framedInlineBytes

  const server = createServer((req, res) => {
    answer(req, res).catch((e) => {
      // A program may cut a request short.
      if (e.code !== 'ECONNRESET') throw e
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${server.address().port}`

  const links =
    script.links &&
    offerLinks(server, {
      openings: script.links,
      seen,
      limits: { ...limits, ...script.limits },
      located,
      token: () => seen.claims.findLast((c) => c.token)?.token ?? 't0',
      framed,
    })

  async function answer(req, res) {
    if (req.url === '/nothing') return give(res, 204)
    const isFramed = req.headers['content-type'] === media
    // Notes its arrival.
    const upload = isFramed && replies.framed.shift()
    if (upload) return upload(req, res)
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    const content = Buffer.concat(chunks)
    const read = isFramed && unframe(content)
    if (read) seen.framed.push(...read.lines)
    const json = read || (content.length ? JSON.parse(content) : undefined)
    seen.requests.push({ method: req.method, url: req.url, headers: req.headers })
    const route = req.url.slice(1)
    if (route === '.well-known/reversehttp') {
      return give(res, 200, {
        version: 1,
        claims: `${origin}/claims`,
        urlTemplate: '',
        transports: script.transports ?? ['json'],
        keyNeeded: false,
        limits,
        ...script.discovery,
      })
    }
    if (route === 'claims') seen.claims.push(json ?? {})
    const { accept = '' } = req.headers
    const form =
      accept.includes(media) && framed ? 'framed' : accept.includes('ndjson') ? 'ndjson' : 'json'
    if (route === 'requests') {
      seen.polls.push(req.headers['last-event-id'] ?? '')
      seen.forms.push(form)
      // The poll replaces a link, unless the program has given the poll up by now.
      setImmediate(() => req.socket.destroyed || server.emit('poll'))
    }
    if (route === 'responses') {
      seen.posts.push(json)
      seen.answers.push(...(json.messages ?? [json]))
    }
    if (route === 'content') seen.contents.push(req.headers.authorization)
    if (route === 'session') seen.sessions.push(req.headers['last-event-id'] ?? '')
    let reply = replies[route]?.shift() ?? {}
    if (typeof reply === 'function') reply = await reply(json, res)
    if (reply.after) await until(() => seen.answers.length >= reply.after)
    for (const [name, value] of Object.entries(reply.headers ?? {})) res.setHeader(name, value)
    if (reply.silent) return
    if (reply.lines) return stream(res, form, reply)
    if (reply.drop) return req.socket.destroy()
    if (route === 'claims' && !reply.json && (reply.status ?? 201) < 300) {
      return give(res, reply.status ?? 201, claimAnswer(json ?? {}))
    }
    if (reply.body !== undefined) return void res.writeHead(reply.status).end(reply.body)
    if (reply.status) return give(res, reply.status, located(reply.json))
    if (route === 'requests' && form !== 'json') return stream(res, form, { lines: [''] })
    if (route === 'requests') return park(res)
    if (route === 'responses') {
      const results = (json.messages ?? [json]).map(({ id }) => ({ id, status: 'accepted' }))
      return give(res, 202, { results })
    }
    if (route === 'content') return give(res, 404, { status: 404, code: 'no_exchange' })
    return give(res, 204)
  }

  /** Writes each line separately, and parks the stream if it stays open. */
  async function stream(res, form, { lines, tail = '', ends, drop }) {
    const type = form === 'framed' ? media : 'application/x-ndjson'
    res.writeHead(200, { 'Content-Type': type }).flushHeaders()
    for (const line of lines) await write(res, written(line))

    if (tail) await write(res, tail)
    if (drop) return res.socket.destroy()
    if (ends) return res.end()
    streams.push(res)
    res.on('close', () => streams.splice(streams.indexOf(res), 1))
  }

  function written(line) {
    if (typeof line === 'string') return line + '\n'
    return framed ? frame(located(line)) : JSON.stringify(located(line)) + '\n'
  }

  function located(json) {
    return json && JSON.parse(JSON.stringify(json).replaceAll('{origin}', origin))
  }

  function claimAnswer({ label = 'demo', token = 't0' }) {
    return {
      label,
      token,
      url: `http://demo.localhost:8080${script.base ?? '/'}`,
      lease: 60,
      timeoutMs: 60000,
      redeliver: 'idempotent',
      claim: `${origin}/claim`,
      session: `${origin}/session`,
      requests: `${origin}/requests`,
      responses: `${origin}/responses`,
      exchanges: script.exchanges && located(script.exchanges),
      ...((script.link || links) && { link: `${origin.replace('http', 'ws')}/link` }),
      cursor: 'c0',
      limits: { ...limits, ...script.limits },
    }
  }

  function park(res) {
    parked.push(res)
    res.on('close', () => {
      if (parked.includes(res)) parked.splice(parked.indexOf(res), 1)
    })
  }

  let batches = 0
  return {
    origin,
    server,
    seen,
    /** Returns how many polls are parked. */
    get parked() {
      return parked.length
    },
    /** Answers the parked poll with these messages, once one is parked. */
    async deliver(...messages) {
      await until(() => parked.length > 0)
      give(parked.shift(), 200, located({ cursor: `d${++batches}`, messages }))
    },
    /** Returns the open streams. */
    streams,
    /** Writes these lines to the open stream, once there is one. */
    async tell(...lines) {
      await until(() => streams.length > 0)
      for (const line of lines) await write(streams[0], written(line))
    },
    /** Ends the parked poll with an error. */
    async refuse(status, code, headers = {}) {
      await until(() => parked.length > 0)
      const res = parked.shift()
      for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
      give(res, status, { title: '', status, code, detail: '' })
    },
    /** Waits for a few round trips, so that the SDK has done everything that it does by itself. */
    async settled() {
      for (let i = 0; i < 20; i++) await (await fetch(`${origin}/nothing`)).arrayBuffer()
    },
    /** Sets the replies to the next calls of a route. */
    script(route, ...more) {
      ;(replies[route] ??= []).push(...more)
    },
    async close() {
      links?.close()
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function lists({ claims = [], requests = [], responses = [], content = [], session = [] }) {
  return {
    claims: [...claims],
    requests: [...requests],
    responses: [...responses],
    content: [...content],
    session: [...session],
    claim: [],
    framed: [],
  }
}

const write = (res, text) => new Promise((resolve) => res.write(text, resolve))

function give(res, status, json) {
  if (json === undefined) return void res.writeHead(status).end()
  res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(json))
}

/** Returns a complete request envelope. */
export function request(id, members = {}) {
  const base = members.base ?? 'http://demo.localhost:8080/'
  const target = members.target ?? '/'
  return {
    type: 'request',
    id,
    attempt: 1,
    timeoutMs: 60000,
    method: 'GET',
    target,
    url: new URL(base).origin + target,
    base,
    httpVersion: '1.1',
    remoteAddr: '127.0.0.1:5',
    headers: [['Host', 'demo.localhost:8080']],
    responseUrl: '{origin}/response',
    ...members,
  }
}

// Tests may stop the clock of the SDK, but not this one.
const { setTimeout } = globalThis

/** Waits until a condition holds; fails after ten minutes. */
export async function until(so, what = so) {
  for (const end = Date.now() + 600_000; !(await so());) {
    if (Date.now() > end) throw new Error(`never so: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
