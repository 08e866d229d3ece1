/*
 * Receives the webhooks of one sender: each is verified over exactly the bytes that came, and handled once.
 * The first module does not import this one.
 */
import { membersIn, mostContent, one, verifier, type Preset } from './signed.js'
import type { Info } from './request.js'
import type { Code, Field } from './envelope.js'

export { verifier, type Preset, type Verdict, type Verify } from './signed.js'

/** Whose webhooks are received. */
export interface Webhook {
  /** How the sender signs. */
  preset: Preset
  /**
   * The secret as the sender shows it, or was given it: `whsec_…`, for example. For `websub` it is that of hub.secret,
   * and for `cloudevents` a bearer token; with these two, absent lets anybody in.
   */
  secret?: string
  /** The topic of `websub` which a hub may subscribe to; `*` is any. */
  topic?: string
  /** Whether a hub may end a subscription of `websub`. Absent means false. */
  unsubscribe?: boolean
  /** The WebHook-Request-Origin of `cloudevents` which may send. Absent: any. */
  origin?: string
}

/** Handles a webhook that is verified. What returns nothing answers 204. */
export type WebhookHandler = (
  request: Request,
  info: Info,
) => Response | undefined | void | Promise<Response | undefined | void>

/** What is remembered of webhooks that the handler took: the newest, for a day. */
const mostTaken = 1024
const takenMs = 24 * 60 * 60_000

/**
 * Returns a handler that passes on the webhooks of one sender, each once. What is not signed is 401. A webhook that the
 * handler answered with a status from 200 to 299 is recognised for a day, and repeats of it are 200 without the handler;
 * one that comes while it is being handled is 409 with Retry-After. By whatever a sender asks whether its receiver is
 * there, this answers: the challenges of Slack, WebSub, CloudEvents and MCP Events, and Discord's PING.
 */
export function receive(
  of: Webhook,
  handler: WebhookHandler,
): (request: Request, info: Info) => Promise<Response> {
  const verify = verifier(of.preset, of.secret ?? '')
  if (of.preset === 'websub' && !of.topic) throw new TypeError('websub needs a topic')
  /** The newest that the handler took, with when it did; the oldest first. */
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
 * Answers what a sender asks before it sends: by GET for WebSub, by OPTIONS for CloudEvents. Other methods than POST
 * are 405.
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

/** Answers a hub of WebSub that wants to know whether the subscriber asked for something (WebSub, 5.3). */
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
 * Returns the answer to a verified request by which a sender wants to know that its receiver is there; undefined where
 * the request is a webhook.
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

/** All content of a request; undefined where it is too long. */
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

/** The request with content that can be read again. */
function whole({ url, headers, signal }: Request, content: Uint8Array<ArrayBuffer>): Request {
  return new Request(url, { method: 'POST', headers, body: content, signal })
}

/** Answers in place of the handler. What a sender wrote goes back as text that no browser takes for a page. */
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
