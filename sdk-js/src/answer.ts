import { toBase64 } from './base64.js'
import type { Field, Response as Answer } from './envelope.js'

const noContent = [204, 205, 304]

/** Makes a Response the answer to a request. Throws where it is none, or its content fails. */
export async function toAnswer(
  id: string,
  method: string,
  response: Response,
  added: readonly Field[],
): Promise<Answer> {
  // Not instanceof: a Response of a frame or of another library is one too.
  if (typeof response?.arrayBuffer !== 'function') {
    throw new TypeError('the handler gave no Response')
  }
  const { status } = response
  if (!(status >= 200 && status <= 599)) throw new TypeError(`status ${status} cannot be sent`)
  const content = new Uint8Array(await response.arrayBuffer())
  const silent = method === 'HEAD'
  const headers = fieldsOf(response, silent || status === 304)
  if (silent && content.length) {
    set(headers, 'content-length', `${content.length}`)
  }
  for (const [name, value] of added) headers.push([`${name}`, `${value}`])
  const answer: Answer = { type: 'response', id, status, headers }
  if (!silent && content.length && !noContent.includes(status)) write(answer, content)
  return answer
}

/** The answer where a handler gave none. */
export function failure(id: string, method: string, status: number, text: string): Answer {
  const answer: Answer = { type: 'response', id, status, headers: [['content-type', 'text/plain']] }
  if (method !== 'HEAD') answer.body = text
  return answer
}

/** The fields to send. Framing is the gateway's, so a length is told only where no content tells it. */
function fieldsOf(response: Response, lengthTold: boolean): Field[] {
  // Content that fetch brought is decoded already; a Response made by hand says what it has.
  const decoded = response.type !== 'default' && response.headers.has('content-encoding')
  const fields: Field[] = []
  response.headers.forEach((value, name) => {
    if (name === 'set-cookie' || name === 'transfer-encoding') return
    if (name === 'content-length' && !(lengthTold && !decoded)) return
    if (name === 'content-encoding' && decoded) return
    fields.push([name, value])
  })
  // The only name whose values must never be joined (RFC 9110, 5.3).
  for (const value of response.headers.getSetCookie?.() ?? []) fields.push(['set-cookie', value])
  return fields
}

function set(fields: Field[], name: string, value: string): void {
  const field = fields.find((f) => f[0] === name)
  if (field) field[1] = value
  else fields.push([name, value])
}

function write(answer: Answer, content: Uint8Array): void {
  try {
    // ignoreBOM keeps a byte order mark: content is exact.
    answer.body = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
  } catch {
    answer.bodyBase64 = toBase64(content)
  }
}
