/** Tabs, by the ARIA pattern: arrow keys move, and a panel is created when its tab is chosen. */
import { make } from './element.js'

/**
 * @typedef {{ name: string, note?: string, render: () => Node }} Tab
 */

/**
 * Makes a list of tabs and the panel of the chosen one.
 * @param {string} id begins the ids of the elements
 * @param {string} label
 * @param {readonly Tab[]} tabs
 * @param {string} first the name of the one that is chosen first
 * @param {(name: string) => void} chosen
 */
export function tabbed(id, label, tabs, first, chosen) {
  const list = make('div', { role: 'tablist', class: 'tabs', 'aria-label': label })
  const panel = make('div', { role: 'tabpanel', id: `${id}-panel`, class: 'panel', tabindex: '0' })
  const made = tabs.map((tab, at) => {
    const of = { role: 'tab', type: 'button', id: `${id}-tab-${at}`, 'aria-controls': panel.id }
    const button = make('button', of, tab.name)
    if (tab.note) button.append(' ', make('span', { class: 'note' }, tab.note))
    button.addEventListener('click', () => choose(at, true))
    list.append(button)
    return button
  })
  list.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    const at = made.indexOf(/** @type {HTMLElement} */ (e.target))
    const last = made.length - 1
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[e.key]
    if (at < 0 || to === undefined) return
    e.preventDefault()
    e.stopPropagation()
    const next = (to + made.length) % made.length
    made[next].focus()
    choose(next, true)
  })
  const at = tabs.findIndex(({ name }) => name === first)
  choose(Math.max(0, at), false)
  return { list, panel }

  /**
   * @param {number} at
   * @param {boolean} wanted by a person
   */
  function choose(at, wanted) {
    for (const [i, button] of made.entries()) {
      button.setAttribute('aria-selected', `${i === at}`)
      button.tabIndex = i === at ? 0 : -1
    }
    panel.setAttribute('aria-labelledby', made[at].id)
    panel.replaceChildren(tabs[at].render())
    panel.scrollTop = 0
    if (wanted) chosen(tabs[at].name)
  }
}
