/** Keys without modifiers, as developers' tools have them, and the dialog that lists them. */
import { button, element, make } from './element.js'
import { keep, recall } from './kept.js'

const help = [
  ['j k ↓ ↑', 'next, previous exchange'],
  ['Enter', 'open it, and go there'],
  ['Esc', 'back to the list'],
  ['R', 'resend'],
  ['E', 'edit and resend'],
  ['C', 'copy as'],
  ['/', 'filter'],
  ['P', 'pause the list'],
  ['?', 'this help'],
]
const filters = [
  ['method=POST', 'a method'],
  ['status>=500', 'a status; status=5xx is a class'],
  ['path^=/hook', 'the target begins so; path~=x has x in it'],
  ['code=no_handler', 'a failure of the gateway'],
  ['ms>100 bytes>1024', 'how long it took, how much content there was'],
  ['trace=0af76519…', 'the whole id of a trace'],
  ['is:replay', 'also is:open and is:websocket'],
  ['content:"words"', 'in the content of request or answer'],
  ['-method=GET', 'a minus excludes'],
  ['word', 'anywhere in the target'],
]

/**
 * Calls what a key stands for. Nothing happens while somebody types, while a dialog is open, and
 * where single keys were turned off.
 * @param {Record<string, () => unknown>} actions by key
 */
export function onKeys(actions) {
  document.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return
    // In a shadow root, as that of the editor, the target is its host.
    const at = /** @type {HTMLElement} */ (e.composedPath()[0])
    if (document.querySelector('dialog[open]')) return
    if (at.closest('input, textarea, select, [contenteditable], [role=menu]')) return
    if (e.key.length === 1 && recall('single keys') === 'off') return
    // Buttons and links have an Enter of their own; so have regions that scroll their arrows.
    if (e.key === 'Enter' && at.closest('button, a, summary')) return
    if (/^(Arrow|Page|Home|End)/.test(e.key) && !at.matches('body, [role=listbox]')) return
    const act = actions[e.key] ?? actions[e.key.toLowerCase()]
    if (!act) return
    e.preventDefault()
    act()
  })
}

export function showHelp() {
  const dialog = make('dialog', { class: 'wide', 'aria-labelledby': 'help-title' })
  const single = make('input', { type: 'checkbox', id: 'single-keys' })
  single.checked = recall('single keys') !== 'off'
  single.addEventListener('change', () => keep('single keys', single.checked ? null : 'off'))
  dialog.append(
    make('h2', { id: 'help-title', tabindex: '-1', autofocus: true }, 'Keys and filters'),
    element('div', 'help', pairs('Keys', help, 'kbd'), pairs('Filters', filters, 'code')),
    make(
      'p',
      {},
      make(
        'label',
        { class: 'inline' },
        single,
        'Single keys act (turn this off if they get in your way)',
      ),
    ),
    element(
      'p',
      'row end',
      button({ class: 'primary' }, 'Close', () => dialog.close()),
    ),
  )
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}

/**
 * @param {string} title
 * @param {string[][]} rows
 * @param {string} name
 */
function pairs(title, rows, name) {
  const list = element('dl', 'keys')
  for (const [key, words] of rows) {
    list.append(
      element('div', '', element('dt', '', element(name, '', key)), element('dd', '', words)),
    )
  }
  return element('section', '', element('h3', '', title), list)
}
