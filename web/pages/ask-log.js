/** The questions and answers, stored in this browser. */
import { keepAll, recallAll } from './kept.js'

const keptAt = 'reversehttp asked'
const mostEntries = 100
const mostText = 1_000
const ends = ['answered', 'declined', 'left', 'expired', 'lost']

/**
 * @typedef {object} Asked
 * @property {string} text
 * @property {string} who
 * @property {'answered' | 'declined' | 'left' | 'expired' | 'lost'} end
 * @property {string} answer
 * @property {number} at when it ended, in milliseconds
 */

/** @returns {Asked[]} the newest first */
export function readLog() {
  return recallAll(keptAt, valid).slice(0, mostEntries)
}

/**
 * Keeps the newest entries, with long texts cut, and returns them. Entries that got no reaction are
 * dropped first, so that askers who leave again and again cannot push out answers.
 * @param {any[]} log the newest first
 * @returns {Asked[]}
 */
export function writeLog(log) {
  const cut = (/** @type {string} */ s) => (s.length > mostText ? `${s.slice(0, mostText)}…` : s)
  let many = log.length - mostEntries
  const silent = (/** @type {any} */ { end }) => end !== 'answered' && end !== 'declined'
  const kept = log
    .toReversed()
    .filter((entry) => !(many > 0 && silent(entry) && many--))
    .toReversed()
    .slice(0, mostEntries)
    .map((entry) => ({ ...entry, text: cut(entry.text), answer: cut(entry.answer) }))
  keepAll(keptAt, kept)
  return kept
}

/** @param {any} entry */
function valid(entry) {
  const text = (/** @type {unknown} */ of) => typeof of === 'string'
  return (
    text(entry?.text) &&
    text(entry.who) &&
    text(entry.answer) &&
    ends.includes(entry.end) &&
    Number.isFinite(entry.at)
  )
}
