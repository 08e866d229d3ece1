/** The links to every page of the gateway; this is the only list of them. */
import { element, make } from './element.js'

/**
 * Path, name and purpose of each page. Pages of the first group are links beside the brand if there is room;
 * all are in the menu.
 * @type {readonly (readonly [path: string, name: string, purpose: string])[]}
 */
export const pages = [
  ['/', 'console', 'a URL at once, and each exchange in detail'],
  ['/inbox', 'inbox', 'webhooks, with their signatures checked'],
  ['/ask', 'ask me', 'a person behind a URL'],
  ['/files', 'files', 'files that are downloaded from your tab'],
  ['/chat', 'chat', 'a chat that your tab serves'],
  ['/playground', 'playground', 'a handler that you edit while it serves'],
  ['/mcp', 'MCP server', 'a tab that agents read and change'],
  ['/oauth', 'OAuth callback', 'sign-ins that end in your tab'],
  ['/websub', 'WebSub', 'feeds that are pushed to your tab'],
  ['/mock', 'mock API', 'a server that is not there yet'],
  ['/guides', 'guides', 'a use case each, with commands to copy'],
  ['/hello', 'hello', 'a server of ten lines'],
  ['/status', 'status', 'this gateway, and how to answer from elsewhere'],
]
const beside = 6

const nav = globalThis.document?.querySelector('nav[aria-label="Pages"]')
if (nav) fill(nav)

/** @param {Element} nav */
function fill(nav) {
  const link = (/** @type {string} */ path, /** @type {(string | Node)[]} */ ...content) =>
    make('a', { href: path, 'aria-current': path === location.pathname && 'page' }, ...content)
  const menu = make(
    'details',
    { class: 'pages' },
    make('summary', {}, 'All pages'),
    make(
      'ul',
      {},
      ...pages.map(([path, name, purpose]) =>
        make('li', {}, link(path, element('strong', '', name), element('small', '', purpose))),
      ),
    ),
  )
  const links = pages.slice(0, beside).map(([path, name]) => link(path, name))
  nav.append(element('span', 'beside', ...links), menu)
  menu.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (e.key !== 'Escape' || !menu.open) return
    e.stopPropagation()
    menu.open = false
    menu.querySelector('summary').focus()
  })
  // It covers the page, and closes when the user clicks the page.
  const leave = (/** @type {Event} */ e) => {
    if (menu.open && !menu.contains(/** @type {Node} */ (e.target))) menu.open = false
  }
  addEventListener('pointerdown', leave)
  addEventListener('focusin', leave)
}
