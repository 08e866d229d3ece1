/* Messages as a stream brings them: lines of JSON, in the framed form with content beside them. */
import type { Arrived } from './request.js'
import type { Session } from './session.js'
import type { Cancel } from './envelope.js'

type Message = (Arrived | Cancel) & Pick<Arrived, 'content' | 'contentLength'>

const lf = 10

/** How much content a gateway puts beside a message at most. */
export const mostInline = ({ claimed: { limits } }: Session): number =>
  Math.max(limits.framedInlineBytes ?? 0, limits.inlineBytes)

/**
 * Makes what takes bytes as they come, and gives the messages that are whole by then: of a heartbeat, nothing.
 * A line has at most so many characters, and content so many bytes.
 */
export function reader(
  mostLine: number,
  mostContent: number,
): (bytes: Uint8Array) => Generator<Message | undefined, void> {
  const decoder = new TextDecoder()
  let line = ''
  /** A message whose content comes, and how much of that there is. */
  let message: Message | undefined
  let content!: Uint8Array<ArrayBuffer>
  let filled = 0
  return function* (bytes) {
    for (let at = 0; at < bytes.length;) {
      if (message && filled < content.length) {
        const some = bytes.subarray(at, at + content.length - filled)
        content.set(some, filled)
        filled += some.length
        at += some.length
      } else if (message) {
        if (bytes[at++] !== lf) throw new TypeError('content is longer than told')
        message.content = content
        yield message
        message = undefined
      } else {
        const end = bytes.indexOf(lf, at)
        line += decoder.decode(bytes.subarray(at, end < 0 ? undefined : end), { stream: true })
        if (line.length > mostLine) throw new TypeError('the line is too long')
        if (end < 0) break
        at = end + 1
        const text = line
        line = ''
        const came = text.trim() ? (JSON.parse(text) as Message) : undefined
        const length = came?.contentLength
        if (typeof length !== 'number') yield came
        else {
          if (length > mostContent) throw new TypeError('the content is too long')
          message = came
          content = new Uint8Array(length)
          filled = 0
        }
      }
    }
  }
}
