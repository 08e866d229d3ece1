/** Makes elements. All content, above all strangers' bytes, becomes text and never markup. */

/**
 * Returns the element with an id.
 * @param {string} id
 * @returns {any}
 */
export function by(id) {
  return document.getElementById(id)
}

/**
 * Makes an element with a name and a class, and with texts and elements in it.
 * @param {string} name
 * @param {string} className
 * @param {...(string | Node)} children
 * @returns {any}
 */
export function element(name, className = '', ...children) {
  const made = document.createElement(name)
  if (className) made.className = className
  made.append(...children.map(visible))
  return made
}

/**
 * Makes an element with attributes. `true` sets an attribute without a value; `false` and
 * undefined leave it out.
 * @param {string} name
 * @param {Record<string, string | number | boolean | undefined>} attributes
 * @param {...(string | Node)} children
 * @returns {any}
 */
export function make(name, attributes, ...children) {
  const made = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) {
      made.setAttribute(attribute, value === true ? '' : `${value}`)
    }
  }
  made.append(...children.map(visible))
  return made
}

/**
 * Makes a button that calls a function when pressed.
 * @param {Record<string, string | number | boolean | undefined>} attributes
 * @param {string} text
 * @param {(event: MouseEvent) => unknown} pressed
 * @returns {HTMLButtonElement}
 */
export function button(attributes, text, pressed) {
  const made = make('button', { type: 'button', ...attributes }, text)
  made.addEventListener('click', pressed)
  return made
}

/**
 * Sets a text if it differs, so that a live region announces only changes.
 * @param {HTMLElement} into
 * @param {string} text
 */
export function say(into, text) {
  const shown = visible(text)
  if (into.textContent !== shown) into.textContent = shown
}

// Invisible characters that change the direction of the text around them (Unicode, UAX 9).
const turning = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/**
 * Returns a text with the characters that change its direction written as numbers, so that none can
 * disguise it. Other values are returned unchanged.
 * @template T
 * @param {T} text
 * @returns {T | string}
 */
export function visible(text) {
  if (typeof text !== 'string') return text
  return text.replace(turning, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`)
}
