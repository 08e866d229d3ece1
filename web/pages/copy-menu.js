/** A button with a menu that copies a request in a format for another tool. */
import { copyText } from './copy.js'
import { button, element, make, say } from './element.js'

const kinds = { curl: 'curl', fetch: 'fetch', httpie: 'HTTPie', raw: 'raw HTTP', har: 'HAR' }
const words = 'Copy as ▾'
const saidMs = 1_500
let made = 0

/**
 * @param {(kind: string) => string | Promise<string>} text makes what is copied
 * @param {boolean} disabled
 */
export function copyMenu(text, disabled = false) {
  const id = `copy-menu-${++made}`
  const items = Object.entries({ ...kinds, link: 'link to this exchange' }).map(([kind, name]) => {
    const item = button({ role: 'menuitem', tabindex: '-1' }, name, async () => {
      close()
      const done = await copyText(await text(kind))
      say(said, done ? `Copied as ${name}` : '')
      if (!done) return
      say(opener, 'Copied')
      setTimeout(() => say(opener, words), saidMs)
    })
    return item
  })
  const menu = make('div', { role: 'menu', id, class: 'menu', 'aria-label': 'Copy as' }, ...items)
  menu.hidden = true
  const said = make('span', { role: 'status', class: 'unseen' })
  const of = { class: 'copy-as', 'aria-haspopup': 'menu', 'aria-expanded': 'false', disabled }
  const opener = button({ ...of, 'aria-controls': id }, words, () => {
    if (menu.hidden) open()
    else close()
  })
  const box = element('span', 'menu-box', opener, menu, said)
  menu.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    const at = items.indexOf(/** @type {any} */ (document.activeElement))
    const last = items.length - 1
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, j: at + 1, k: at - 1 }[
      e.key
    ]
    e.stopPropagation()
    if (e.key === 'Escape') close()
    if (e.key === 'Tab') menu.hidden = true
    if (to === undefined) return
    e.preventDefault()
    items[(to + items.length) % items.length].focus()
  })
  box.addEventListener('focusout', (/** @type {FocusEvent} */ e) => {
    if (box.contains(/** @type {Node | null} */ (e.relatedTarget))) return
    menu.hidden = true
    opener.setAttribute('aria-expanded', 'false')
  })
  return box

  function open() {
    menu.hidden = false
    opener.setAttribute('aria-expanded', 'true')
    items[0].focus()
  }

  function close() {
    opener.focus()
    menu.hidden = true
    opener.setAttribute('aria-expanded', 'false')
  }
}
