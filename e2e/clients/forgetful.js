import { once } from 'node:events'
import { createServer } from 'node:http'
import { until } from '../until.js'

/**
 * A gateway that delivers one request repeatedly: in its first session, which does not accept the answer and
 * is then given up, and in the second, which accepts it. Returns the messages that it received.
 */
export async function forgetful() {
  const seen = { answers: [], cursors: [], tokens: [] }
  const server = createServer(async (request, response) => {
    const chunks = await request.toArray()
    const content = chunks.length ? JSON.parse(Buffer.concat(chunks)) : {}
    const answer = await routes(request.url, request.headers, content)
    if (!answer) return // A poll that hangs.
    response.writeHead(answer.status ?? 200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${server.address().port}`

  function routes(url, headers, content) {
    const [, session, what] = url.match(/^\/(\d)\/(\w+)$/) ?? []
    if (what === 'requests') return polled(session, headers['last-event-id'])
    if (what === 'responses') return answered(session, content)
    if (what) return {}
    if (url !== '/claims') return { version: 1, claims: `${origin}/claims`, transports: ['json'] }
    seen.tokens.push(content.token)
    const base = `${origin}/${seen.tokens.length}`
    return {
      ...{ status: 201, label: 'demo', url: `${origin}/at/`, token: 'secret', cursor: 'start' },
      ...{ claim: `${base}/claim`, session: `${base}/session` },
      ...{ requests: `${base}/requests`, responses: `${base}/responses` },
      limits: { waitSeconds: 25, queue: 8 },
    }
  }

  async function polled(session, cursor) {
    seen.cursors.push(`${session}: ${cursor}`)
    const nth = seen.cursors.filter((c) => c.startsWith(session)).length
    if (session === '1' && nth === 1) return { cursor: 'first', messages: [request(1)] }
    if (session === '1') {
      await until(() => seen.answers.length, 'an answer')
      return { status: 409, code: 'session_fenced' }
    }
    // Twice in one batch, and twice more after it was answered.
    if (nth === 1) return { cursor: 'first', messages: [request(2), request(3)] }
    if (nth > 3) return undefined
    await until(() => seen.answers.length > 1, 'the answer again')
    return { cursor: `after ${nth}`, messages: [request(2 + nth)] }
  }

  function request(attempt) {
    const headers = [['Host', 'demo.example']]
    return {
      ...{
        type: 'request',
        id: 'x1',
        attempt,
        timeoutMs: 60_000,
        method: 'POST',
        target: '/count',
      },
      ...{ url: 'http://demo.example/count', base: 'http://demo.example/', httpVersion: '1.1' },
      ...{ remoteAddr: '127.0.0.1:1', headers, responseUrl: `${origin}/1/response` },
    }
  }

  function answered(session, { id, body }) {
    seen.answers.push(`${session}: ${body}`)
    return { status: 202, results: [{ id, status: session === '1' ? 'unknown' : 'accepted' }] }
  }

  return {
    ...seen,
    origin,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
