/** The files that a page shares, by the paths that visitors request. */

export const mostFiles = 5_000
const longestPath = 1_000

/**
 * @typedef {object} Shared
 * @property {string} path unique, with folders: `photos/sea.jpg`
 * @property {File} file
 */

export class SharedFiles {
  /** @type {Map<string, File>} by path, in the order in which they were added */
  #files = new Map()
  #changed

  /** @param {() => void} changed called when files come or go */
  constructor(changed) {
    this.#changed = changed
  }

  /** @returns {Shared[]} */
  get all() {
    return [...this.#files].map(([path, file]) => ({ path, file }))
  }

  get count() {
    return this.#files.size
  }

  /** The size of all files in bytes. */
  get size() {
    return this.all.reduce((sum, { file }) => sum + file.size, 0)
  }

  /** @param {string} path */
  get(path) {
    return this.#files.get(path)
  }

  /**
   * Adds files. If another file has the path, the new one gets a number: `a (2).txt`. Returns how many were
   * left out because the page shares its maximum.
   * @param {Shared[]} files
   */
  add(files) {
    let left = 0
    for (const { path, file } of files) {
      const clean = cleaned(path)
      if (this.#files.size >= mostFiles || !clean || clean.length > longestPath) left++
      else this.#files.set(this.#free(clean, file), file)
    }
    this.#changed()
    return left
  }

  /** @param {string} path */
  remove(path) {
    if (this.#files.delete(path)) this.#changed()
  }

  clear() {
    this.#files.clear()
    this.#changed()
  }

  /**
   * @param {string} path
   * @param {File} file
   */
  #free(path, file) {
    const dot = path.lastIndexOf('.')
    const at = dot > path.lastIndexOf('/') + 1 ? dot : path.length
    let free = path
    for (let n = 2; ; n++) {
      const taken = this.#files.get(free)
      // The same file was dropped again.
      if (!taken || same(taken, file)) return free
      free = `${path.slice(0, at)} (${n})${path.slice(at)}`
    }
  }
}

/**
 * @param {File} a
 * @param {File} b
 */
function same(a, b) {
  return a.name === b.name && a.size === b.size && a.lastModified === b.lastModified
}

/**
 * Returns a path without segments that would lead out of the folder that a visitor saves it in.
 * @param {string} path
 */
function cleaned(path) {
  const names = path.split(/[/\\]/).filter((name) => name && name !== '.' && name !== '..')
  // A visitor should save no name with control characters.
  return names.join('/').replace(/[\x00-\x1f\x7f]/g, '_')
}

/**
 * Returns a path as the end of a URL.
 * @param {string} path
 */
export function urlPath(path) {
  return path.split('/').map(encodeURIComponent).join('/')
}
