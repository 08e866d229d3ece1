/** All of one exchange: fields and content of its request and of its answer. */
import { asText, bytesInWords, contentOf, present, toBase64 } from './content.js'
import { offerCopy, offerDownload } from './copy.js'
import { element } from './element.js'
import { readable } from './field.js'

/** @param {import('./exchange-list.js').Exchange} exchange */
export function details(exchange) {
  const { id, method, target, httpVersion, remoteAddr, attempt, end, signatures } = exchange
  const parts = element('div', 'parts')
  const line = element('pre', '', `${method} ${readable(target)} HTTP/${httpVersion}`)
  const from = `from ${remoteAddr}${attempt > 1 ? `, delivery ${attempt}` : ''}`
  parts.append(element('h3', '', 'Request'), focusable(line), element('p', '', from))
  if (signatures) {
    const lines = signatures.map((s) => element('li', '', `${s.scheme}: ${s.is}. ${s.why}`))
    parts.append(element('ul', '', ...lines))
  }
  parts.append(fields(exchange.headers), ...content(`request-${id}`, exchange.content))
  const answer = end?.response
  if (answer) {
    parts.append(element('h3', '', `Answer ${answer.status}`), fields(answer.headers ?? []))
    parts.append(...content(`answer-${id}`, contentOf(answer)))
  }
  return parts
}

/** @param {readonly (readonly [string, string])[]} pairs */
function fields(pairs) {
  if (!pairs.length) return element('p', '', 'No fields.')
  const table = element('table', 'fields')
  for (const [name, value] of pairs) {
    const head = element('th', '', name)
    head.scope = 'row'
    table.append(element('tr', '', head, element('td', '', readable(value))))
  }
  return table
}

/**
 * @param {string} name
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
function content(name, bytes) {
  const { kind, text, whole } = present(bytes)
  if (kind === 'none') return [element('p', '', 'No content.')]
  const some = whole ? '' : '; the beginning is shown'
  const size = element('p', '', `Content: ${bytesInWords(bytes.length)}, ${kind}${some}`)
  const copy = element('button', '', kind === 'binary' ? 'Copy as base64' : 'Copy')
  const save = element('button', '', 'Download')
  copy.type = save.type = 'button'
  // Exact: what was sent, not what it is shown as.
  offerCopy(copy, () => asText(bytes) ?? toBase64(bytes))
  offerDownload(save, `${name}.bin`, bytes)
  return [size, focusable(element('pre', `content ${kind}`, text)), element('p', 'row', copy, save)]
}

/**
 * Lets the keyboard scroll it.
 * @param {HTMLElement} box
 */
function focusable(box) {
  box.tabIndex = 0
  return box
}
