/* Messages of a stream: lines of JSON; in the framed form, content follows the line. */
import type { Arrived } from './request.js'
import type { Session } from './session.js'
import type { Cancel } from './envelope.js'

type Message = (Arrived | Cancel) & Pick<Arrived, 'content' | 'contentLength'>

const lf = 10

/** Returns the most content that a gateway puts beside a message. */
export const mostInline = ({ claimed: { limits } }: Session): number =>
  Math.max(limits.framedInlineBytes ?? 0, limits.inlineBytes)

/**
 * Returns a function that takes bytes as they arrive, and yields the messages that they complete, or
 * undefined for a heartbeat. A line has at most `mostLine` characters, and content at most `mostContent`
 * bytes.
 */
export function reader(
  mostLine: number,
  mostContent: number,
): (bytes: Uint8Array) => Generator<Message | undefined, void> {
  const decoder = new TextDecoder()
  let line = ''
  /** A message whose content is still arriving, and how much of that is there. */
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
