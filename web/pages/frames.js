/** Streamed data: the frames of a WebSocket, and the pieces of other content, with their times. */
import { asText, bytesInWords, contentOf } from './content.js'
import { duration } from './duration.js'
import { element, make } from './element.js'
import { hexRows } from './hex.js'

const mostShown = 4_096

/** @typedef {import('../../sdk-js/src/envelope.js').RecordedPart} Part */

/** @param {import('./recordings.js').Recording} recording */
export function frames({ parts, partsCut }) {
  const list = make('ol', { class: 'frames', 'aria-label': 'Frames', tabindex: '0' })
  for (const part of parts) list.append(frame(part))
  if (partsCut) list.append(element('li', 'faint', 'More came than was recorded.'))
  const head = element('div', 'side-head', element('h3', '', `Frames (${parts.length})`))
  return element('section', 'side frames-side', head, list)
}

/** @param {Part} part */
function frame(part) {
  const { atMs, from, bytes, opcode, final, compressed, cut } = part
  const way = element('span', 'way', from === 'visitor' ? 'visitor → handler' : 'visitor ← handler')
  way.dataset.from = from
  const about = [opcode ?? 'part', bytesInWords(bytes)]
  if (!final) about.push('goes on')
  if (compressed) about.push('compressed')
  if (cut) about.push('cut')
  const head = element(
    'div',
    'event',
    element('span', 'at', duration(atMs)),
    way,
    element('span', 'faint', about.join(' · ')),
  )
  return element('li', '', head, payload(part))
}

/** @param {Part} part */
function payload(part) {
  const content = contentOf(part)
  if (!content.length) return ''
  if (part.opcode === 'close' && content.length >= 2) {
    const code = (content[0] << 8) | content[1]
    return element('pre', '', `${code} ${asText(content.subarray(2)) ?? ''}`)
  }
  const shown = content.subarray(0, mostShown)
  const text = part.compressed ? undefined : asText(shown, shown.length < content.length)
  if (text !== undefined) return element('pre', '', text)
  const rows = hexRows(shown.subarray(0, 256), 0, Math.min(256, shown.length))
  return element('pre', 'binary', rows.map((r) => `${r.offset}  ${r.hex}  ${r.text}`).join('\n'))
}

/** @param {readonly Part[]} parts */
export function pieces(parts) {
  const list = element('ol', 'small-list')
  for (const { atMs, bytes } of parts) {
    list.append(element('li', '', `at ${duration(atMs)}: ${bytesInWords(bytes)}`))
  }
  return list
}
