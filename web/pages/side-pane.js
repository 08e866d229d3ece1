/** The pane beside the list, with the open exchange and the page's own panel. */
import { button, by, element, make } from './element.js'

/**
 * Fills the pane, and returns a function that shows one of its two panels.
 * @param {HTMLElement} pane
 * @param {{ name: string, own: HTMLElement, first: 'exchange' | 'own', back: () => void }} options
 * @returns {(which: 'exchange' | 'own', focus?: boolean) => void}
 */
export function sidePane(pane, { name, own, first, back }) {
  const exchange = element('div', 'exchange-panel')
  exchange.id = 'exchange'
  const panels = { exchange, own }
  const names = { exchange: 'Exchange', own: name }
  const list = make('div', { role: 'tablist', class: 'tabs', 'aria-label': 'Beside the list' })
  /** @type {['exchange' | 'own', HTMLButtonElement][]} */
  const tabs = /** @type {const} */ (['exchange', 'own']).map((which) => {
    const of = { role: 'tab', id: `side-${which}`, 'aria-controls': panels[which].id }
    const tab = button(of, names[which], () => show(which))
    panels[which].setAttribute('role', 'tabpanel')
    panels[which].setAttribute('aria-labelledby', tab.id)
    list.append(tab)
    return [which, tab]
  })
  list.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (!/^Arrow(Left|Right)$|^Home$|^End$/.test(e.key)) return
    e.preventDefault()
    show(exchange.hidden ? 'exchange' : 'own', true)
  })
  const toList = button({ class: 'quiet narrow-only', id: 'back' }, '← List', back)
  pane.append(element('div', 'side-tabs', toList, list), exchange, own)
  own.hidden = false
  exchange.tabIndex = 0
  show(first)
  return show

  /**
   * @param {'exchange' | 'own'} which
   * @param {boolean} [focus] whether its tab takes the focus
   */
  function show(which, focus = false) {
    for (const [of, tab] of tabs) {
      tab.setAttribute('aria-selected', `${of === which}`)
      tab.tabIndex = of === which ? 0 : -1
      panels[of].hidden = of !== which
      if (of === which && focus) tab.focus()
    }
  }
}

/** Returns the content of the pane while no exchange is open. */
export function noneOpen() {
  by('exchange').replaceChildren(
    element(
      'div',
      'empty',
      element('p', 'empty-title', 'No exchange is open'),
      element(
        'p',
        'faint',
        'Choose one in the list: ',
        element('kbd', '', 'j'),
        ' and ',
        element('kbd', '', 'k'),
        ' move, ',
        element('kbd', '', '?'),
        ' lists all keys.',
      ),
    ),
  )
}
