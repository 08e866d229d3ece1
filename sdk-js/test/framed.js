// The framed form (schema/README.md, 4): messages as lines, with their content beside them.

export const media = 'application/vnd.reversehttp'

/** Returns a message, given as in JSON, in the framed form. */
export function frame({ body, bodyBase64, ...message }) {
  if (body === undefined && bodyBase64 === undefined) return Buffer.from(lineOf(message))
  const content = bodyBase64 === undefined ? Buffer.from(body) : Buffer.from(bodyBase64, 'base64')
  const line = lineOf({ ...message, contentLength: content.length })
  return Buffer.concat([Buffer.from(line), content, Buffer.from('\n')])
}

const lineOf = (message) => JSON.stringify(message) + '\n'

/** Parses messages in the framed form: returns them as in JSON, and their lines. Throws if they are malformed. */
export function unframe(bytes) {
  const messages = []
  const lines = []
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\n', at)
    if (end < 0) throw new Error('no end of a line')
    const line = JSON.parse(bytes.subarray(at, end).toString())
    lines.push(line)
    at = end + 1
    const { contentLength, ...message } = line
    messages.push(message)
    if (contentLength === undefined) continue
    const content = bytes.subarray(at, at + contentLength)
    at += contentLength
    if (content.length !== contentLength || bytes[at++] !== 10)
      throw new Error('content is not as long as told')
    const text = content.toString()
    if (Buffer.from(text).equals(content)) message.body = text
    else message.bodyBase64 = content.toString('base64')
  }
  return { messages, lines }
}
