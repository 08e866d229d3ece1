/** A board of notes, which both the user and agents change. */

export const mostNotes = 50
export const mostText = 500
export const mostTitle = 80
export const colors = ['teal', 'blue', 'violet', 'amber', 'rose']

/**
 * @typedef {{ id: number, text: string, done: boolean }} Note
 * @typedef {{ title: string, color: string, notes: Note[] }} State
 */

export class Board {
  /** @type {State} */
  #state = {
    title: 'The board of this tab',
    color: 'teal',
    notes: [{ id: 1, text: 'Have an agent add a note', done: false }],
  }
  #changed
  /** The last number of a note. Numbers are not used again, since a waiting call may name one. */
  #last = 0

  /**
   * @param {(id?: number) => void} changed called after each change, with the id of the changed note
   * @param {string | null} [kept] what `toString` returned before
   */
  constructor(changed, kept = null) {
    this.#changed = changed
    try {
      const state = JSON.parse(kept ?? '')
      if (valid(state)) this.#state = state
    } catch {}
  }

  /** @returns {Readonly<State>} */
  get state() {
    return this.#state
  }

  toString() {
    return JSON.stringify(this.#state)
  }

  /** @param {{ title?: string, color?: string }} to */
  set({ title, color }) {
    if (title?.trim()) this.#state.title = title.trim().slice(0, mostTitle)
    if (color && colors.includes(color)) this.#state.color = color
    this.#changed()
  }

  /**
   * Adds a note, and returns its number.
   * @param {string} text
   */
  add(text) {
    const { notes } = this.#state
    if (notes.length >= mostNotes) throw new Error('The board is full. Remove a note first.')
    const id = (this.#last = 1 + Math.max(this.#last, ...notes.map((note) => note.id)))
    notes.push({ id, text: text.slice(0, mostText), done: false })
    this.#changed(id)
    return id
  }

  /**
   * @param {number} id
   * @param {{ text?: string, done?: boolean }} to
   */
  change(id, { text, done }) {
    const note = this.#note(id)
    if (text !== undefined) note.text = text.slice(0, mostText)
    if (done !== undefined) note.done = done
    this.#changed(id)
  }

  /** @param {number} id */
  remove(id) {
    const note = this.#note(id)
    this.#state.notes = this.#state.notes.filter((other) => other !== note)
    this.#changed()
  }

  /** @param {number} id */
  #note(id) {
    const note = this.#state.notes.find((note) => note.id === id)
    if (!note) throw new Error(`There is no note ${id}. read_board has the numbers.`)
    return note
  }
}

/** @param {any} state */
function valid({ title, color, notes }) {
  const isText = (/** @type {unknown} */ of, /** @type {number} */ most) =>
    typeof of === 'string' && of.length <= most
  return (
    isText(title, mostTitle) &&
    colors.includes(color) &&
    Array.isArray(notes) &&
    notes.length <= mostNotes &&
    notes.every(
      ({ id, text, done }) =>
        Number.isSafeInteger(id) && isText(text, mostText) && typeof done === 'boolean',
    )
  )
}
