/** Files that somebody drops or chooses, folders with all that is in them. */

/** @typedef {import('./shared-files.js').Shared} Shared */

/**
 * Returns the files of a drop. The list has to be read before the event is over; what is in folders
 * comes later.
 * @param {DataTransfer} data
 * @param {number} most how many to look for
 * @returns {Promise<Shared[]>}
 */
export async function droppedFiles(data, most) {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.())
  /** @type {Shared[]} */
  const found = []
  for (const entry of entries) if (entry) await collect(entry, found, most)
  // What is no entry of a file system, as a picture dragged out of a page, is a file only.
  if (!found.length) found.push(...[...data.files].map((file) => ({ path: file.name, file })))
  return found
}

/**
 * Returns the files that an input has, with their folders where it chose one.
 * @param {HTMLInputElement} input
 * @returns {Shared[]}
 */
export function chosenFiles(input) {
  return [...(input.files ?? [])].map((file) => ({
    path: file.webkitRelativePath || file.name,
    file,
  }))
}

/**
 * @param {FileSystemEntry} entry
 * @param {Shared[]} found
 * @param {number} most
 */
async function collect(entry, found, most) {
  // One more than there is room for, so that the page can say that some were left out.
  if (found.length > most) return
  const path = entry.fullPath.replace(/^\//, '')
  if (entry.isFile) {
    const from = /** @type {FileSystemFileEntry} */ (entry)
    /** @type {File | undefined} */
    const file = await new Promise((resolve) => from.file(resolve, () => resolve(undefined)))
    if (file) found.push({ path, file })
    return
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader()
  for (;;) {
    // A call returns some of the entries, Chromium 100; none, once all were returned.
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])))
    if (!some.length) return
    for (const below of some) await collect(below, found, most)
  }
}
