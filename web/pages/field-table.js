/** Tables of fields and other pairs, with secrets masked until a button is pressed. */
import { button, element, make, say } from './element.js'
import { readable } from './field.js'
import { maskValue } from './mask.js'

/**
 * @param {string} label
 * @param {readonly (readonly [string, string | Node])[]} pairs
 */
export function table(label, pairs) {
  if (!pairs.length) return element('p', 'faint', 'None.')
  const body = element('tbody')
  for (const [name, value] of pairs) {
    const head = make('th', { scope: 'row' }, name)
    body.append(element('tr', '', head, element('td', '', value)))
  }
  return make('table', { class: 'fields', 'aria-label': label }, body)
}

/**
 * @param {string} label
 * @param {readonly (readonly [string, string])[]} fields
 */
export function fieldTable(label, fields) {
  return table(
    label,
    fields.map(([name, value]) => [
      name,
      maskValue(name, value) === value ? readable(value) : secretValue(name, value),
    ]),
  )
}

/**
 * A value that is masked until its button is pressed.
 * @param {string} name
 * @param {string} value
 */
export function secretValue(name, value) {
  const text = element('span', '', readable(maskValue(name, value)))
  const show = button(
    { class: 'quiet small', 'aria-pressed': 'false', 'aria-label': `Show ${name}` },
    'Show',
    () => {
      const shown = show.getAttribute('aria-pressed') !== 'true'
      show.setAttribute('aria-pressed', `${shown}`)
      show.textContent = shown ? 'Hide' : 'Show'
      say(text, readable(shown ? value : maskValue(name, value)))
    },
  )
  return element('span', 'secret', text, ' ', show)
}
