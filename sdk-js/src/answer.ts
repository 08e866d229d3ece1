import { toBase64 } from './base64.js'
import { readSoon, type Parts } from './parts.js'
import type { Beside } from './message.js'
import type { Streams } from './session.js'
import type { Field, Part, Response as Envelope } from './envelope.js'

/** An answer and its content, not yet serialized. */
export type Answer = Envelope & Beside

/** An answer, and the rest of its content if that streams. */
export interface Made {
  answer: Answer
  content?: Parts
}

/**
 * Converts a Response to the answer to a request. Throws if it is not a Response, or if its content fails at
 * once.
 */
export async function toAnswer(
  id: string,
  method: string,
  response: Response | undefined,
  added: readonly Field[],
  signal: AbortSignal,
  streams: Streams | undefined,
): Promise<Made> {
  // Not instanceof: a Response from a frame or from another library is valid too.
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

/** Returns the answer for a handler that returned none. */
export function failure(id: string, method: string, status = 500): Answer {
  const answer: Answer = { type: 'response', id, status, headers: [['content-type', 'text/plain']] }
  if (method !== 'HEAD') answer.content = new TextEncoder().encode(`error ${status}`)
  return answer
}

/**
 * Returns the fields to send. The gateway frames the message, so a length is kept only if no content shows
 * it.
 */
function fieldsOf(response: Response, lengthTold: boolean): Field[] {
  // Content from fetch is already decoded; a Response that the program constructed describes its own content.
  const decoded = response.type !== 'default' && response.headers.has('content-encoding')
  const left = ['set-cookie', 'transfer-encoding']
  if (decoded || !lengthTold) left.push('content-length')
  if (decoded) left.push('content-encoding')
  const fields = [...response.headers].filter(([name]) => !left.includes(name))
  // The only field whose values must never be joined (RFC 9110, 5.3).
  for (const value of response.headers.getSetCookie?.() ?? []) fields.push(['set-cookie', value])
  return fields
}

/** Writes content into its message. */
export function write(message: Envelope | Part, content: Uint8Array): void {
  try {
    // ignoreBOM keeps a byte order mark: content is exact.
    message.body = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
  } catch {
    message.bodyBase64 = toBase64(content)
  }
}
