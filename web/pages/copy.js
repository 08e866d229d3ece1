/** Buttons that copy or save something. */
import { button, make } from './element.js'

const saidMs = 1_500

/**
 * Makes a button copy a text.
 * @param {HTMLButtonElement} pressed
 * @param {() => string | Promise<string>} text
 */
export function offerCopy(pressed, text) {
  const label = pressed.textContent
  pressed.addEventListener('click', async () => {
    pressed.textContent = (await copyText(await text())) ? 'Copied' : label
    setTimeout(() => (pressed.textContent = label), saidMs)
  })
}

/**
 * Copies a text. Without a clipboard, as on plain http, it shows the text for copying by hand.
 * @param {string} text
 * @returns {Promise<boolean>} whether it is in the clipboard
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const dialog = make('dialog', { class: 'wide', 'aria-label': 'Copy by hand' })
    const area = make('textarea', { rows: 12, readonly: true, 'aria-label': 'Text to copy' })
    area.value = text
    const close = button({}, 'Close', () => dialog.close())
    dialog.append(make('p', {}, 'The browser gives this page no clipboard: copy from here.'))
    dialog.append(area, make('p', { class: 'row end' }, close))
    dialog.addEventListener('close', () => dialog.remove())
    document.body.append(dialog)
    dialog.showModal()
    area.focus()
    area.select()
    return false
  }
}

/**
 * Makes a button save bytes.
 * @param {HTMLButtonElement} pressed
 * @param {string} name
 * @param {Uint8Array<ArrayBuffer>} content
 */
export function offerDownload(pressed, name, content) {
  pressed.addEventListener('click', () => download(name, content))
}

/**
 * Saves bytes. Their type is always that of plain bytes, so that the browser saves them and never
 * opens them with the rights of this origin.
 * @param {string} name
 * @param {Uint8Array<ArrayBuffer>} content
 */
export function download(name, content) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([content], { type: 'application/octet-stream' }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
