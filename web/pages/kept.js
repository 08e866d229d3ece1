/**
 * Data that a page stores for its own reload, in this tab only, and lists that a browser stores for
 * all tabs. A browser that stores nothing is not an error.
 */

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
 * Returns the entries of a list for all tabs that are valid.
 * @param {string} name
 * @param {(entry: any) => boolean} valid
 * @returns {any[]}
 */
export function recallAll(name, valid) {
  try {
    return JSON.parse(localStorage.getItem(name) ?? '[]').filter(valid)
  } catch {
    return []
  }
}

/**
 * @param {string} name
 * @param {unknown[]} list
 */
export function keepAll(name, list) {
  try {
    localStorage.setItem(name, JSON.stringify(list))
  } catch {}
}

/**
 * Returns a storage for the SDK that belongs to one page. Pages share an origin and a tab, so
 * without it the inbox would take over the label of the playground.
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
