/** Sends a recorded request to the handler again: unchanged, edited, or with a new signature. */
import { asText, bytesInWords, toBase64 } from './content.js'
import { copyMenu } from './copy-menu.js'
import { button, element, make, say } from './element.js'
import { requestOf } from './exchange-detail.js'
import { fieldsOf, linesOf } from './field-lines.js'
import { readable } from './field.js'
import { maskTarget } from './mask.js'
import { replay } from './recordings.js'
import { resign, schemeOf } from './resign.js'

const mostEdited = 65_536
/** Secrets by scheme, only in the memory of this page. */
const secrets = new Map()
const schemes = {
  standard: 'Standard Webhooks',
  stripe: 'Stripe',
  slack: 'Slack',
  github: 'GitHub',
}

/** @typedef {import('./recordings.js').Recording} Recording */

/**
 * Resends a request unchanged, except that a signed request gets a new signature if its secret was
 * entered before. Returns the id of the new exchange.
 * @param {import('./recordings.js').At} at
 * @param {Recording} recording
 */
export async function resend(at, recording) {
  const { headers, content } = requestOf(recording)
  const scheme = schemeOf(headers)
  const secret = scheme && secrets.get(scheme)
  const changes = secret
    ? { headers: await resign(scheme, secret, headers, content, Date.now()) }
    : {}
  return replay(at, recording.exchange.id, changes)
}

/**
 * Opens the form of a request, and resends the request as edited.
 * @param {import('./recordings.js').At} at
 * @param {Recording} recording
 * @param {(id: string) => void} sent
 */
export function editAndResend(at, recording, sent) {
  const { exchange } = recording
  const original = requestOf(recording)
  const scheme = schemeOf(original.headers)
  const typed = { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }
  const method = make('input', { id: 'edit-method', required: true, pattern: '[!-~]+', ...typed })
  const target = make('input', { id: 'edit-target', required: true, class: 'mono', ...typed })
  const fields = make('textarea', { id: 'edit-fields', rows: 8, ...typed })
  const shown = make('input', { id: 'edit-secrets', type: 'checkbox' })
  const secret = make('input', { id: 'edit-secret', type: 'password', autocomplete: 'off' })
  const content = contentEditor(original.content, !!exchange.requestCut, typed)
  const fault = make('p', { class: 'fault', role: 'alert' })
  const send = make('button', { class: 'primary' }, 'Send')
  method.value = exchange.method
  const readableTarget = readable(exchange.target)
  target.value = maskTarget(readableTarget)
  const kept = original.headers.filter(([name]) => name.toLowerCase() !== 'content-length')
  fields.value = linesOf(kept, false)
  secret.value = (scheme && secrets.get(scheme)) ?? ''
  shown.addEventListener('change', () => {
    try {
      fields.value = linesOf(fieldsOf(fields.value, kept), shown.checked)
      say(fault, '')
    } catch (e) {
      say(fault, /** @type {Error} */ (e).message)
    }
    if (sameTarget()) target.value = shown.checked ? readableTarget : maskTarget(readableTarget)
  })

  const form = make(
    'form',
    { class: 'editor' },
    element('h2', '', 'Edit and resend'),
    element(
      'div',
      'line',
      element('p', '', make('label', { for: 'edit-method' }, 'Method'), method),
      element('p', '', make('label', { for: 'edit-target' }, 'Target'), target),
    ),
    element(
      'p',
      '',
      make('label', { for: 'edit-fields' }, 'Fields, one a line; Content-Length is counted anew'),
      fields,
    ),
    element('p', '', make('label', { class: 'inline' }, shown, 'Show secrets')),
    content.made,
    ...(scheme ? [signature(scheme, secret)] : []),
    fault,
    element(
      'p',
      'row end',
      copyMenu(async (kind) => {
        if (kind === 'link') return location.href
        const { copyAs } = await import('./copy-as.js')
        return copyAs(/** @type {any} */ (kind), await edited())
      }),
      button({}, 'Cancel', () => dialog.close()),
      send,
    ),
  )
  const dialog = make('dialog', { class: 'wide', 'aria-label': 'Edit and resend' }, form)
  form.addEventListener('submit', async (/** @type {Event} */ e) => {
    e.preventDefault()
    send.disabled = true
    say(fault, '')
    try {
      const { method, target, headers } = await edited()
      const id = await replay(at, exchange.id, { method, target, headers, ...content.changes() })
      dialog.close()
      sent(id)
    } catch (e) {
      say(fault, /** @type {Error} */ (e).message)
    }
    send.disabled = false
  })
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
  target.focus()

  function sameTarget() {
    return [readableTarget, maskTarget(readableTarget)].includes(target.value)
  }

  /** Returns the request in the form, with a new signature if a secret is given. */
  async function edited() {
    const bytes = content.bytes()
    let headers = fieldsOf(fields.value, kept)
    if (scheme && secret.value) {
      secrets.set(scheme, secret.value)
      headers = await resign(scheme, secret.value, headers, bytes, Date.now())
    }
    const to = sameTarget() ? exchange.target : byteString(target.value)
    const url = new URL(original.url)
    return {
      method: method.value,
      target: to,
      url: to.startsWith('/') ? url.origin + to : url.href,
      headers,
      content: bytes,
    }
  }
}

/**
 * Edits content that is text. Other or large content is sent as recorded unless it is replaced.
 * @param {Uint8Array<ArrayBuffer>} recorded
 * @param {boolean} cut
 * @param {Record<string, string>} typed
 */
function contentEditor(recorded, cut, typed) {
  const area = make('textarea', { id: 'edit-content', rows: 10, ...typed })
  const text = recorded.length <= mostEdited && !cut ? asText(recorded) : undefined
  area.value = text ?? ''
  // A text area changes line ends, so unchanged content is not read from it.
  const before = area.value
  let replaced = text !== undefined
  const label = make('label', { for: 'edit-content' }, 'Content')
  const made = element('p', '', label, area)
  if (!replaced) {
    const size = bytesInWords(recorded.length)
    const why = cut
      ? 'The recording has only the beginning of the content, so it can be sent with other content only. '
      : `${size} are sent as they were recorded. `
    const replace = button({ class: 'quiet' }, 'Replace by text', () => {
      replaced = true
      note.replaceWith(area)
      area.focus()
    })
    const note = element('span', 'faint', why, replace)
    area.replaceWith(note)
  }
  const changed = () => replaced && (text === undefined || area.value !== before)
  const value = () => (text?.includes('\r\n') ? area.value.replaceAll('\n', '\r\n') : area.value)
  return {
    made,
    bytes: () => (changed() ? new TextEncoder().encode(value()) : recorded),
    changes: () => {
      if (!changed()) return {}
      // Leaving out both members keeps the recorded content; an empty one means no content.
      return value() ? { body: value() } : { bodyBase64: toBase64(new Uint8Array()) }
    },
  }
}

/**
 * @param {keyof typeof schemes} scheme
 * @param {HTMLInputElement} secret
 */
function signature(scheme, secret) {
  const why =
    'Receivers refuse signatures that are a few minutes old. With the secret the request is signed anew. The secret stays in this page: it is not sent and not kept.'
  return element(
    'p',
    'signing',
    make('label', { for: 'edit-secret' }, `Secret to sign anew (${schemes[scheme]})`),
    secret,
    element('small', '', why),
  )
}

/** @param {string} text */
function byteString(text) {
  return String.fromCharCode(...new TextEncoder().encode(text))
}
