/** What content can be looked at as: the views that fit its type and its bytes, the best first. */
import { asText, bytesInWords, contentOf, toBase64 } from './content.js'
import { copyText, offerDownload } from './copy.js'
import { button, element, make } from './element.js'
import { parseEvents } from './events.js'
import { readable, valuesOf } from './field.js'
import { hexRows } from './hex.js'
import { readJSON } from './json.js'
import { jsonTree } from './json-tree.js'
import { isSecret } from './mask.js'
import { secretValue, table } from './field-table.js'
import { extensionOf } from './extension.js'
import { parseForm, parseMultipart } from './multipart.js'
import { indented } from './xml.js'

/** Larger content is drawn only when somebody asks for it, and only its beginning. */
export const mostDrawn = 65_536
const mostHex = 16_384
const mostPixels = 1_024
const images = /^image\/(png|jpeg|gif|webp|avif|bmp|x-icon|vnd\.microsoft\.icon)$/

/**
 * @typedef {object} Message a request or an answer, its content as it is looked at
 * @property {string} id begins the ids of its elements, and the name of its file
 * @property {readonly (readonly [string, string])[]} headers
 * @property {Uint8Array<ArrayBuffer>} bytes as sent
 * @property {Uint8Array<ArrayBuffer>} content without its codings
 * @property {string} note what was done to show it
 */

/**
 * Returns the views of content as tabs.
 * @param {Message} message
 * @returns {import('./tabs.js').Tab[]}
 */
export function viewsOf(message) {
  const { content, headers } = message
  if (!content.length) return []
  const whole = valuesOf(headers, 'content-type')[0] ?? ''
  const type = whole.split(';')[0].trim().toLowerCase()
  const text = asText(content.subarray(0, mostDrawn), content.length > mostDrawn)
  /** @type {[string, () => Node][]} */
  const views = []
  if (images.test(type)) views.push(['Image', () => image(content, type)])
  if (type === 'multipart/form-data' || /^multipart\/(mixed|related|alternative)$/.test(type)) {
    views.push(['Multipart', () => multipart(content, whole, message.id)])
  }
  if (text !== undefined) {
    if (/[/+]json$/.test(type) || /^\s*[[{]/.test(text)) views.push(['JSON', () => json(content)])
    if (type === 'application/x-www-form-urlencoded') views.push(['Form', () => form(content)])
    if (/[/+]xml$/.test(type)) views.push(['XML', () => lines(indented(text))])
    if (type === 'text/event-stream') views.push(['Events', () => events(content)])
    views.push(['Text', () => lines(text)])
  }
  views.push(['Hex', () => hexView(content)])
  return views.map(([name, draw]) => ({ name, render: () => bounded(message, draw) }))
}

/**
 * Draws content with what can be done with it; much content only when asked for.
 * @param {Message} message
 * @param {() => Node} draw
 */
function bounded(message, draw) {
  const { id, bytes, content, note } = message
  const size = bytesInWords(content.length)
  const copy = button({ class: 'quiet' }, 'Copy', () =>
    // Exact: what was sent, not what it is shown as.
    copyText(asText(content) ?? toBase64(content)),
  )
  const save = button({ class: 'quiet' }, 'Download', () => {})
  offerDownload(save, `${id}.${extensionOf(message)}`, bytes)
  const about = element('span', 'faint', note ? `${size}, ${note}` : size)
  const bar = element('div', 'content-bar', about, copy, save)
  const view = element('div', 'view', bar)
  if (content.length <= mostDrawn) {
    view.append(draw())
    return view
  }
  const show = button({}, `Show the first ${bytesInWords(mostDrawn)}`, () => {
    ask.replaceWith(draw())
    bar.tabIndex = -1
    bar.focus()
  })
  const ask = element('p', 'ask', 'Much content is not drawn by itself. ', show)
  view.append(ask)
  return view
}

/** @param {string} text */
function lines(text) {
  return element('pre', 'text', text)
}

/** @param {Uint8Array} content */
function json(content) {
  const text = asText(content)
  const root = text === undefined ? undefined : readJSON(text)
  if (root) return jsonTree(root)
  const part = asText(content.subarray(0, mostDrawn), true) ?? ''
  return element('div', '', element('p', 'faint', 'This is not valid JSON.'), lines(part))
}

/** @param {Uint8Array} content */
function form(content) {
  return table(
    'Names and values',
    parseForm(asText(content.subarray(0, mostDrawn), true) ?? '').map(([name, value]) => [
      name,
      isSecret(name) ? secretValue(name, value) : value,
    ]),
  )
}

/** @param {Uint8Array} content */
function events(content) {
  const list = element('ol', 'events')
  for (const { event, data, id } of parseEvents(
    asText(content.subarray(0, mostDrawn), true) ?? '',
  )) {
    const head = element('div', 'event', element('b', '', event || 'message'))
    if (id) head.append(element('span', 'faint', ` id ${id}`))
    list.append(element('li', '', head, element('pre', '', data)))
  }
  return list.firstChild ? list : element('p', 'faint', 'No event is complete.')
}

/**
 * @param {Uint8Array} content
 * @param {string} type
 * @param {string} id
 */
function multipart(content, type, id) {
  const { parts, fault } = parseMultipart(content, type)
  const list = element('ol', 'events')
  for (const [at, { name, filename, headers, bytes }] of parts.entries()) {
    const kind = valuesOf(headers, 'content-type')[0] ?? ''
    const about = [filename, kind, bytesInWords(bytes.length)].filter(Boolean).join(' · ')
    const head = element('div', 'event', element('b', '', readable(name ?? `part ${at + 1}`)))
    head.append(' ', element('span', 'faint', readable(about)))
    const part = element('li', '', head)
    const text = filename ? undefined : asText(bytes.subarray(0, 4_096), bytes.length > 4_096)
    if (text === undefined) {
      const save = button({ class: 'quiet' }, 'Download', () => {})
      // Its own name, but no path: the browser takes the rest out.
      const file = readable(filename ?? `${id}-${at + 1}.bin`).replace(/^.*[/\\]/, '')
      offerDownload(save, file, new Uint8Array(bytes))
      head.append(' ', save)
    } else part.append(isSecret(name ?? '') ? secretValue(name ?? '', text) : lines(text))
    list.append(part)
  }
  const made = element('div', '', list)
  if (fault) made.prepend(element('p', 'fault', fault))
  return made
}

/**
 * Draws a picture on a canvas, so that no address of it exists, and not larger than a screen.
 * @param {Uint8Array<ArrayBuffer>} content
 * @param {string} type
 */
function image(content, type) {
  const box = element('div', 'picture', element('p', 'faint', 'drawing…'))
  void (async () => {
    try {
      const bitmap = await createImageBitmap(new Blob([content], { type }))
      const { width, height } = bitmap
      const scale = Math.min(1, mostPixels / Math.max(width, height))
      const alt = `Picture, ${width} by ${height} pixels`
      const canvas = make('canvas', { role: 'img', 'aria-label': alt })
      canvas.width = Math.max(1, Math.round(width * scale))
      canvas.height = Math.max(1, Math.round(height * scale))
      canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height)
      bitmap.close()
      box.replaceChildren(canvas, element('p', 'faint', `${width} × ${height}, ${type}`))
    } catch {
      box.replaceChildren(element('p', 'faint', 'The browser cannot draw this picture.'))
    }
  })()
  return box
}

/** @param {Uint8Array} content */
function hexView(content) {
  const end = Math.min(content.length, mostHex)
  const rows = hexRows(content, 0, end).map((r) => `${r.offset}  ${r.hex}  ${r.text}`)
  if (end < content.length) rows.push(`… ${bytesInWords(content.length - end)} more: download`)
  return element('pre', 'binary', rows.join('\n'))
}

/**
 * Makes a message of one that was recorded: its content without the codings that the browser knows.
 * @param {string} id
 * @param {import('../../sdk-js/src/envelope.js').RecordedMessage} recorded
 * @param {boolean} cut whether more content was sent than recorded
 * @returns {Promise<Message>}
 */
export async function messageOf(id, recorded, cut) {
  const bytes = contentOf(recorded)
  const message = { id, headers: recorded.headers, bytes, content: bytes, note: '' }
  if (cut) message.note = 'the beginning only: the recording was cut'
  const coding = valuesOf(recorded.headers, 'content-encoding').join(',').trim().toLowerCase()
  if (!bytes.length || !/^(gzip|deflate|br)$/.test(coding)) return message
  const decoded = await decode(bytes, coding === 'br' ? 'brotli' : coding)
  if (!decoded.length)
    return { ...message, note: [message.note, coding].filter(Boolean).join(', ') }
  const note = [message.note, `decoded from ${bytesInWords(bytes.length)} of ${coding}`]
  return { ...message, content: decoded, note: note.filter(Boolean).join(', ') }
}

const mostDecoded = 4 << 20

/**
 * Decodes as much as there is, up to a bound: few bytes can stand for many.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {string} coding
 */
async function decode(bytes, coding) {
  const chunks = []
  let size = 0
  try {
    const decoder = new DecompressionStream(/** @type {CompressionFormat} */ (coding))
    const reader = new Blob([bytes]).stream().pipeThrough(decoder).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      size += value.length
      chunks.push(value)
      if (size > mostDecoded) {
        await reader.cancel()
        break
      }
    }
  } catch {
    // A coding that the browser does not know, or content that was cut.
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer())
}
