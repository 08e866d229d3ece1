/** Shares a claim: its URL with a phone, and a link with viewers. */
import { copyText } from './copy.js'
import { button, element, make, say } from './element.js'
import { share } from './viewing.js'

/**
 * Shows the URL as a QR code, which the gateway draws.
 * @param {string} url
 */
export function showQR(url) {
  const note = make('p', { role: 'status' })
  const alt = `QR code of ${url}`
  const image = make('img', { width: 256, height: 256, alt })
  const dialog = make('dialog', { class: 'qr', 'aria-label': 'QR code' })
  image.addEventListener('error', () => {
    image.remove()
    say(note, 'This gateway draws no QR codes.')
  })
  image.src = `/qr.svg?${new URLSearchParams({ text: url })}`
  const close = button({ autofocus: true }, 'Close', () => dialog.close())
  dialog.append(image, note, make('p', { class: 'mono' }, url), close)
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}

/**
 * Offers a link by which others can see exchanges but change nothing.
 * @param {import('/sdk.js').Claim} claim
 */
export function offerShare(claim) {
  const area = make('textarea', { id: 'share-link', rows: 3, readonly: true })
  const shown = make('p', { hidden: true }, make('label', { for: 'share-link' }, 'The link'), area)
  const said = make('p', { role: 'status' })
  const act = async (/** @type {boolean} */ viewer) => {
    try {
      const link = await share(claim, viewer)
      shown.hidden = !link
      area.value = link ?? ''
      if (!link) return say(said, 'The link no longer works.')
      say(said, (await copyText(link)) ? 'The link is copied.' : '')
    } catch (e) {
      say(said, `Not done: ${/** @type {Error} */ (e).message}`)
    }
  }
  const dialog = make(
    'dialog',
    { 'aria-labelledby': 'share-title' },
    make('h2', { id: 'share-title' }, 'Let others look'),
    make(
      'p',
      {},
      'Anyone with the link sees every exchange here, secrets included, but can change nothing. A new link ends the previous one.',
    ),
    shown,
    said,
    element(
      'p',
      'row end',
      button({}, 'End the link', () => act(false)),
      button({}, 'Close', () => dialog.close()),
      button({ class: 'primary', autofocus: true }, 'Make a link', () => act(true)),
    ),
  )
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}
