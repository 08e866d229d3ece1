/** A line that says what just happened, and disappears by itself. */
import { make, say } from './element.js'

const seenMs = 5_000
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer

/** @param {string} text */
export function toast(text) {
  const line = document.getElementById('toast') ?? make('p', { id: 'toast', role: 'status' })
  if (!line.isConnected) document.body.append(line)
  say(line, text)
  clearTimeout(timer)
  timer = setTimeout(() => say(line, ''), seenMs)
}
