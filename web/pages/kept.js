/** What a page keeps for its own reload, in this tab only. A browser that keeps nothing is no error. */

/** @param {string} name */
export function recall(name) {
  try {
    return sessionStorage.getItem(name)
  } catch {
    return null
  }
}

/**
 * @param {string} name
 * @param {string | null} value null forgets it
 */
export function keep(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(name)
    else sessionStorage.setItem(name, value)
  } catch {}
}

/**
 * Gives a storage for the SDK that is one page's own: pages share an origin and a tab, and without
 * it the inbox would take the label over that the playground had.
 * @param {string} page
 */
export function storageOf(page) {
  return {
    getItem: (/** @type {string} */ name) => recall(`${page} ${name}`),
    setItem: (/** @type {string} */ name, /** @type {string} */ value) =>
      keep(`${page} ${name}`, value),
    removeItem: (/** @type {string} */ name) => keep(`${page} ${name}`, null),
  }
}
