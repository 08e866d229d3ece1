/** Elements. All that is shown, strangers' bytes above all, becomes text and never markup. */

/**
 * Gives the element of an id.
 * @param {string} id
 * @returns {any}
 */
export function by(id) {
  return document.getElementById(id)
}

/**
 * Makes an element of a name with a class, with texts and elements in it.
 * @param {string} name
 * @param {string} className
 * @param {...(string | Node)} children
 * @returns {any}
 */
export function element(name, className = '', ...children) {
  const made = document.createElement(name)
  if (className) made.className = className
  made.append(...children)
  return made
}

/**
 * Sets a text where it differs, so that a live region speaks of changes only.
 * @param {HTMLElement} into
 * @param {string} text
 */
export function say(into, text) {
  if (into.textContent !== text) into.textContent = text
}
