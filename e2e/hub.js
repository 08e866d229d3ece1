// A minimal hub of WebSub (https://www.w3.org/TR/websub/) for tests, and a feed that names it.
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { visit } from './visitor.js'

const feed = (title) => `<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>A blog</title>
<entry><title>${title}</title><link href="https://blog.example/1"/></entry></feed>`

export async function startHub() {
  /** Subscriptions by topic: callback and secret. */
  const subscribed = new Map()
  /** The answer of a subscriber to the verification of its intent. */
  const verified = []
  const server = createServer(async (request, response) => {
    response.setHeader('Access-Control-Allow-Origin', '*')
    response.setHeader('Access-Control-Expose-Headers', 'Link')
    if (request.method === 'GET') {
      if (request.url === '/feed')
        response.setHeader('Link', `<${url}/>; rel="hub", <${url}/feed>; rel=self`)
      return response.end(feed('first'))
    }
    const form = new URLSearchParams(await text(request))
    const of = (name) => form.get(`hub.${name}`)
    const [mode, topic, callback] = [of('mode'), of('topic'), of('callback')]
    if (topic.endsWith('/refused')) return response.writeHead(403).end()
    response.writeHead(202).end()
    if (topic.endsWith('/denied')) {
      return ask(callback, { 'hub.mode': 'denied', 'hub.topic': topic, 'hub.reason': 'too many' })
    }
    const challenge = randomBytes(16).toString('hex')
    const asked = { 'hub.mode': mode, 'hub.topic': topic, 'hub.challenge': challenge }
    if (mode === 'subscribe') asked['hub.lease_seconds'] = of('lease_seconds')
    const { status, content } = await ask(callback, asked)
    const meant = status === 200 && content.toString() === challenge
    verified.push([mode, topic, meant])
    if (!meant) return
    if (mode === 'subscribe') subscribed.set(topic, { callback, secret: of('secret') })
    else subscribed.delete(topic)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://localhost:${server.address().port}`

  function ask(callback, query) {
    return visit(`${callback}?${new URLSearchParams(query)}`)
  }

  return {
    url,
    subscribed,
    verified,
    ask,
    feed,
    /** Sends a feed to a subscriber, with the signature of the hub or a given one. */
    async publish(topic, title, signature = undefined) {
      const { callback, secret } = subscribed.get(topic)
      const content = feed(title)
      const right = `sha256=${createHmac('sha256', secret).update(content).digest('hex')}`
      const fields = [
        ['Content-Type', 'application/atom+xml'],
        ['Link', `<${url}/>; rel=hub, <${topic}>; rel=self`],
        ...(signature === '' ? [] : [['X-Hub-Signature', signature ?? right]]),
      ]
      return visit(callback, { method: 'POST', content, fields })
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
