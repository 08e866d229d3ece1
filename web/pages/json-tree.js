/** JSON as a collapsible tree. Elements of closed nodes are not created. */
import { button, element, make } from './element.js'

const most = 100
const openDepth = 2
const openSize = 30
const mostText = 2_000

/** @typedef {import('./json.js').JSONNode} JSONNode */

/** @param {JSONNode} root */
export function jsonTree(root) {
  return make('div', { class: 'json' }, branch(undefined, root, 0))
}

/**
 * @param {string | undefined} name
 * @param {JSONNode} node
 * @param {number} depth
 * @returns {HTMLElement}
 */
function branch(name, node, depth) {
  const label = name === undefined ? [] : [element('span', 'name', name), ': ']
  if (node.kind !== 'object' && node.kind !== 'array') {
    return element('div', 'leaf', ...label, leaf(node))
  }
  const children = node.kind === 'object' ? node.members : node.items
  const [opens, closes] = node.kind === 'object' ? '{}' : '[]'
  if (!children.length) return element('div', 'leaf', ...label, opens + closes)
  const unit = node.kind === 'object' ? 'member' : 'item'
  const size = `${children.length} ${unit}${children.length === 1 ? '' : 's'}`
  const summary = element('summary', '', ...label, opens, element('span', 'size', ` ${size} `))
  summary.append(closes)
  const details = make('details', {}, summary)
  const inside = element('div', 'inside')
  details.append(inside)
  const open = () => {
    if (details.open && !inside.firstChild) more(inside, node, 0, depth + 1)
  }
  details.addEventListener('toggle', open)
  details.open = depth < openDepth && (depth === 0 || children.length <= openSize)
  // The event comes later, but nodes that are open from the start are filled at once.
  open()
  return details
}

/**
 * @param {HTMLElement} into
 * @param {JSONNode & { kind: 'object' | 'array' }} node
 * @param {number} from
 * @param {number} depth
 */
function more(into, node, from, depth) {
  const count = node.kind === 'object' ? node.members.length : node.items.length
  const end = Math.min(count, from + most)
  for (let at = from; at < end; at++) {
    const [name, child] =
      node.kind === 'object' ? node.members[at] : [`${at}`, /** @type {any} */ (node).items[at]]
    into.append(branch(name, child, depth))
  }
  if (end === count) return
  const rest = button({ class: 'quiet' }, `${count - end} more`, () => {
    rest.remove()
    more(into, node, end, depth)
    const next = into.children[end]?.querySelector('summary')
    next?.focus()
  })
  into.append(rest)
}

/** @param {{ kind: string, text: string }} node */
function leaf({ kind, text }) {
  const shown = text.length > mostText ? `${text.slice(0, mostText)}…` : text
  return element('span', kind, kind === 'string' ? JSON.stringify(shown) : shown)
}
