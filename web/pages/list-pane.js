/** The pane of the list: its filter, its buttons, and its content while it is empty. */
import { offerCopy } from './copy.js'
import { button, by, element, make, say } from './element.js'
import { keepAll, recallAll } from './kept.js'

const keptAt = 'reversehttp filters'
const mostFilters = 20

/**
 * @param {HTMLElement} pane
 * @param {{ own: string, onFilter: () => void, onPause: () => void, onClear: () => void, onOwn: () => void, onHelp: () => void }} options
 */
export function listPane(pane, { own, onFilter, onPause, onClear, onOwn, onHelp }) {
  const filter = make('input', {
    id: 'filter',
    type: 'search',
    placeholder: 'Filter: status>=500 path^=/hook method=POST',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    list: 'filters',
    'aria-describedby': 'filter-note',
    maxlength: 1000,
  })
  const keepIt = button({ id: 'keep-filter', class: 'quiet', hidden: true }, 'Keep', () => {
    const filters = kept()
    const at = filters.indexOf(filter.value)
    if (at < 0) filters.unshift(filter.value)
    else filters.splice(at, 1)
    keepAll(keptAt, filters.slice(0, mostFilters))
    offer()
  })
  const offer = () => {
    const filters = kept()
    by('filters').replaceChildren(...filters.map((value) => make('option', { value })))
    keepIt.hidden = !filter.value
    say(keepIt, filters.includes(filter.value) ? 'Forget' : 'Keep')
  }
  filter.addEventListener('input', () => {
    offer()
    onFilter()
  })
  pane.append(
    element(
      'div',
      'toolbar',
      make('label', { class: 'unseen', for: 'filter' }, 'Filter'),
      filter,
      make('datalist', { id: 'filters' }),
      keepIt,
      button({ id: 'pause', class: 'quiet', 'aria-pressed': 'false' }, 'Pause', onPause),
      button({ id: 'clear', class: 'quiet' }, 'Clear', onClear),
      button({ class: 'quiet narrow-only', id: 'to-own' }, own, onOwn),
      button({ class: 'quiet', id: 'help', 'aria-label': 'Keys and filters' }, '?', onHelp),
    ),
    make('p', { id: 'filter-note', class: 'note-line', role: 'status' }),
    make(
      'div',
      { class: 'rows-head', 'aria-hidden': 'true' },
      ...['Time', 'Method', 'Target', '', 'Status', 'Took'].map((name) =>
        element('span', '', name),
      ),
    ),
    make('div', {
      id: 'exchanges',
      class: 'rows',
      role: 'listbox',
      tabindex: '0',
      'aria-label': 'Exchanges, newest first',
      hidden: true,
    }),
    nothing(),
    make(
      'div',
      { id: 'none-pass', class: 'empty', hidden: true },
      element('p', 'empty-title', 'No exchange passes the filter'),
      button({}, 'Clear the filter', () => {
        filter.value = ''
        offer()
        onFilter()
        filter.focus()
      }),
    ),
    element(
      'div',
      'foot',
      make('span', { id: 'count', role: 'status' }),
      make('span', { id: 'paused', role: 'status' }),
    ),
  )
  offer()
  offerCopy(by('copy-first'), () => by('first-curl').textContent)
  return offer
}

function nothing() {
  return make(
    'div',
    { id: 'nothing', class: 'empty' },
    element('p', 'empty-title', 'Waiting for the first request'),
    element('p', 'faint', 'Send one from a shell, and it is here a moment later:'),
    make('pre', {
      id: 'first-curl',
      role: 'group',
      tabindex: '0',
      'aria-label': 'A command that fills the list',
    }),
    element(
      'p',
      'row',
      button({ id: 'copy-first' }, 'Copy command', () => {}),
    ),
    element(
      'p',
      'faint',
      'Or open the URL in a browser, or give it to a service that sends webhooks.',
    ),
  )
}

/** @returns {string[]} */
function kept() {
  return recallAll(keptAt, (filter) => typeof filter === 'string')
}
