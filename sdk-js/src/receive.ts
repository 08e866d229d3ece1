/*
 * Receives the webhooks of one sender. Each is verified over exactly the bytes that arrived, and handled
 * once. The first module does not import this one.
 */
import { membersIn, mostContent, one, verifier, type Preset } from './signed.js'
import type { Info } from './request.js'
import type { Code, Field } from './envelope.js'

export { verifier, type Preset, type Verdict, type Verify } from './signed.js'

/** The sender whose webhooks are received. */
export interface Webhook {
  /** How the sender signs. */
  preset: Preset
  /**
   * The secret as the sender shows it or received it, such as `whsec_…`. For `websub` it is hub.secret, for
   * `cloudevents` a bearer token; if it is absent, these two accept any sender.
   */
  secret?: string
  /** The topic of `websub` to which a hub may subscribe; `*` is any. */
  topic?: string
  /** Whether a hub may end a subscription of `websub`. Absent: false. */
  unsubscribe?: boolean
  /** The WebHook-Request-Origin that may send `cloudevents`. Absent: any. */
  origin?: string
}

/** Handles a verified webhook. A handler that returns nothing answers 204. */
export type WebhookHandler = (
  request: Request,
  info: Info,
) => Response | undefined | void | Promise<Response | undefined | void>

/** How many handled webhooks are remembered, the newest first, and for how long: a day. */
const mostTaken = 1024
const takenMs = 24 * 60 * 60_000

/**
 * Returns a handler that passes on the webhooks of one sender, each once. Unsigned requests get 401. A
 * webhook that the handler answered with a status from 200 to 299 is remembered for a day, and its repeats
 * get 200 without the handler; one that repeats while it is being handled gets 409 with Retry-After. This
 * also answers the requests by which a sender checks its receiver: the challenges of Slack, WebSub,
 * CloudEvents and MCP Events, and Discord's PING.
 */
export function receive(
  of: Webhook,
  handler: WebhookHandler,
): (request: Request, info: Info) => Promise<Response> {
  const verify = verifier(of.preset, of.secret ?? '')
  if (of.preset === 'websub' && !of.topic) throw new TypeError('websub needs a topic')
  /** When each of the newest webhooks was handled; the oldest first. */
  const taken = new Map<string, number>()
  const running = new Set<string>()

  return async (request, info) => {
    if (request.method !== 'POST') return confirm(of, request, info.headers)
    const content = await contentOf(info)
    if (!content) return refuse(413, 'content_too_large', 'A webhook has at most 1 MiB of content.')
    const { id, why } = await verify(info.headers, content, Date.now())
    if (id === undefined) {
      const detail = `This is not signed as it should be: ${why}.`
      return refuse(401, 'signature_wrong', detail, { 'WWW-Authenticate': 'Webhook' })
    }
    const answer = challenge(of.preset, info.headers, content)
    if (answer) return answer
    forget()
    if (taken.has(id)) return say()
    const later = { 'Retry-After': '1' }
    if (running.has(id)) {
      const detail = 'The same webhook is being handled now. Send it again later.'
      return refuse(409, 'webhook_running', detail, later)
    }
    if (running.size >= mostTaken) {
      const detail = 'Too many webhooks are being handled now. Send it again later.'
      return refuse(503, 'queue_full', detail, later)
    }
    running.add(id)
    try {
      const response =
        (await handler(whole(request, content), { ...info, content, body: null })) ??
        new Response(null, { status: 204 })
      if (response.ok) {
        taken.set(id, Date.now())
        forget()
      }
      return response
    } finally {
      running.delete(id)
    }
  }

  function forget(): void {
    for (const [id, atMs] of taken) {
      if (taken.size <= mostTaken && Date.now() - atMs < takenMs) break
      taken.delete(id)
    }
  }
}

/**
 * Answers the checks that a sender makes before it sends: by GET for WebSub, by OPTIONS for CloudEvents.
 * Methods other than POST get 405.
 */
function confirm(of: Webhook, request: Request, fields: readonly Field[]): Response {
  const methods = ['POST']
  if (of.preset === 'websub') {
    methods.push('GET')
    if (request.method === 'GET') return confirmIntent(of, new URL(request.url).searchParams)
  }
  if (of.preset === 'cloudevents') {
    methods.push('OPTIONS')
    const origin = one(fields, 'webhook-request-origin')
    if (request.method === 'OPTIONS') {
      const headers = new Headers({ Allow: methods.join(', ') })
      // HTTP 1.1 Web Hooks for Event Delivery, 4.2: without the two fields there is no permission.
      if (origin && (of.origin === undefined || origin === of.origin)) {
        headers.set('WebHook-Allowed-Origin', origin)
        headers.set('WebHook-Allowed-Rate', '*')
      }
      return say(null, headers)
    }
  }
  const allow = { Allow: methods.join(', ') }
  return refuse(405, 'method_refused', 'A webhook is sent by POST.', allow)
}

/** Answers a WebSub hub that verifies the subscriber's intent (WebSub, 5.3). */
function confirmIntent({ topic, unsubscribe }: Webhook, query: URLSearchParams): Response {
  const mode = topic === '*' || query.get('hub.topic') === topic ? query.get('hub.mode') : null
  const challenge = query.get('hub.challenge')
  if (mode === 'denied') return say()
  if (challenge && (mode === 'subscribe' || (mode === 'unsubscribe' && unsubscribe))) {
    return say(challenge, { 'Content-Type': 'text/plain; charset=utf-8' })
  }
  return refuse(404, 'not_found', 'The subscriber did not ask for this.')
}

/**
 * Returns the answer to a verified request by which a sender checks its receiver; undefined if the request is
 * a webhook.
 */
function challenge(
  preset: Preset,
  fields: readonly Field[],
  content: Uint8Array<ArrayBuffer>,
): Response | undefined {
  const { type, challenge } = (membersIn(content) ?? {}) as { type?: unknown; challenge?: unknown }
  const json = { 'Content-Type': 'application/json' }
  if (preset === 'discord') {
    if (type === 1) return say('{"type":1}', json)
    if (type === 0) return say()
  }
  if (typeof challenge !== 'string') return undefined
  if (preset === 'slack' && type === 'url_verification') {
    return say(challenge, { 'Content-Type': 'text/plain; charset=utf-8' })
  }
  // MCP Events are Standard Webhooks.
  if (preset === 'standard' && type === 'verification' && one(fields, 'x-mcp-subscription-id')) {
    return say(JSON.stringify({ challenge }), json)
  }
  return undefined
}

/** Reads all content of a request; returns undefined if it is too long. */
async function contentOf({ body, content }: Info): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (!body) return content.length > mostContent ? undefined : content
  const chunks: Uint8Array<ArrayBuffer>[] = []
  let length = 0
  const reader = (body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    if ((length += value.length) > mostContent) {
      reader.cancel().catch(() => {})
      return undefined
    }
    chunks.push(value)
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer())
}

/** Returns the request with content that can be read again. */
function whole({ url, headers, signal }: Request, content: Uint8Array<ArrayBuffer>): Request {
  return new Request(url, { method: 'POST', headers, body: content, signal })
}

/** Answers in place of the handler. Echoes a sender's text in a form that no browser interprets as a page. */
function say(content: string | null = null, more?: HeadersInit): Response {
  const headers = new Headers(more)
  headers.set('Cache-Control', 'no-store')
  headers.set('X-Content-Type-Options', 'nosniff')
  return new Response(content, { headers })
}

/** Answers with an error of section 8 of the protocol. */
function refuse(status: number, code: Code, detail: string, more?: HeadersInit): Response {
  const headers = new Headers(more)
  headers.set('Content-Type', 'application/problem+json')
  headers.set('Cache-Control', 'no-store')
  const title = titles[status]
  return new Response(JSON.stringify({ title, status, code, detail }), { status, headers })
}

const titles: Record<number, string> = {
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  503: 'Service Unavailable',
}
