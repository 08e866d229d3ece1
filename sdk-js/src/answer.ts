import { toBase64 } from './base64.js'
import { readSoon, type Parts } from './parts.js'
import type { Beside } from './message.js'
import type { Streams } from './session.js'
import type { Field, Part, Response as Envelope } from './envelope.js'

/** An answer before it is written. */
export type Answer = Envelope & Beside

/** An answer, and the content that follows it where it is not whole. */
export interface Made {
  answer: Answer
  content?: Parts
}

/** Makes a Response the answer to a request. Throws where it is none, or its content fails at once. */
export async function toAnswer(
  id: string,
  method: string,
  response: Response | undefined,
  added: readonly Field[],
  signal: AbortSignal,
  streams: Streams | undefined,
): Promise<Made> {
  // Not instanceof: a Response of a frame or of another library is one too.
  if (response?.bodyUsed !== false || response.status < 200) {
    throw new TypeError('no Response')
  }
  const { status, body } = response
  const fields = added.map(([name, value]): Field => [`${name}`, `${value}`])
  const silent = method === 'HEAD'
  const content =
    body && ((await streams?.knownContent(response)) ?? (await readSoon(body, signal)))
  const whole = content?.whole
  const follows = !!content && !whole
  const known = content?.size ?? (silent && whole?.length)
  const headers = fieldsOf(response, !known && (silent || follows || status === 304))
  if (known) headers.push(['content-length', `${known}`])
  const answer: Answer = { type: 'response', id, status, headers: [...headers, ...fields] }
  if (silent) content?.cancel()
  else if (follows) return { answer, content }
  else if (whole?.length) answer.content = whole
  return { answer }
}

/** The answer where a handler gave none. */
export function failure(id: string, method: string, status = 500): Answer {
  const answer: Answer = { type: 'response', id, status, headers: [['content-type', 'text/plain']] }
  if (method !== 'HEAD') answer.content = new TextEncoder().encode(`error ${status}`)
  return answer
}

/** The fields to send. Framing is the gateway's, so a length is told only where no content tells it. */
function fieldsOf(response: Response, lengthTold: boolean): Field[] {
  // Content that fetch brought is decoded already; a Response made by hand says what it has.
  const decoded = response.type !== 'default' && response.headers.has('content-encoding')
  const left = ['set-cookie', 'transfer-encoding']
  if (decoded || !lengthTold) left.push('content-length')
  if (decoded) left.push('content-encoding')
  const fields = [...response.headers].filter(([name]) => !left.includes(name))
  // The only name whose values must never be joined (RFC 9110, 5.3).
  for (const value of response.headers.getSetCookie?.() ?? []) fields.push(['set-cookie', value])
  return fields
}

/** Writes the content of a message in it. */
export function write(message: Envelope | Part, content: Uint8Array): void {
  try {
    // ignoreBOM keeps a byte order mark: content is exact.
    message.body = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
  } catch {
    message.bodyBase64 = toBase64(content)
  }
}
