/** A box that a person ticks once: it stays as they left it, in every tab of this browser. */

/**
 * @param {HTMLInputElement} box
 * @param {string} name
 * @param {boolean} first whether it is ticked before anybody chose
 */
export function setting(box, name, first) {
  const at = `reversehttp ${name}`
  try {
    const kept = localStorage.getItem(at)
    box.checked = kept === null ? first : kept === 'yes'
  } catch {
    box.checked = first
  }
  box.addEventListener('change', () => {
    try {
      localStorage.setItem(at, box.checked ? 'yes' : 'no')
    } catch {} // A browser that stores nothing is not an error.
  })
}
