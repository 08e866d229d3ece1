/** Buttons that take something out of the page. */

const saidMs = 1_500

/**
 * Lets a button copy a text. Without a clipboard, as on plain http, it is hidden.
 * @param {HTMLButtonElement} button
 * @param {() => string} text
 */
export function offerCopy(button, text) {
  const label = button.textContent
  button.hidden = !navigator.clipboard
  button.addEventListener('click', async () => {
    let said = 'Copied'
    try {
      await navigator.clipboard.writeText(text())
    } catch {
      said = 'Not copied'
    }
    button.textContent = said
    setTimeout(() => (button.textContent = label), saidMs)
  })
}

/**
 * Lets a button save bytes. The type says bytes whatever they claim to be: the browser saves them
 * and never opens them with the rights of this origin.
 * @param {HTMLButtonElement} button
 * @param {string} name
 * @param {Uint8Array<ArrayBuffer>} content
 */
export function offerDownload(button, name, content) {
  button.addEventListener('click', () => {
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob([content], { type: 'application/octet-stream' }))
    link.download = name
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
  })
}
