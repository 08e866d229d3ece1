/** How long an exchange spent in each phase: a bar, and the same in words. */
import { duration } from './duration.js'
import { element } from './element.js'

/** @param {import('./recordings.js').Recorded} recorded */
export function timing({ state, queuedMs = 0, deliveredMs, firstByteMs, doneMs }) {
  const steps = [
    { name: 'received', words: 'request came', ms: queuedMs },
    { name: 'queued', words: 'queued', ms: deliveredMs },
    { name: 'handler', words: 'handler', ms: firstByteMs },
    { name: 'answer', words: 'answer', ms: doneMs },
  ]
  const bar = element('div', 'bar')
  bar.setAttribute('aria-hidden', 'true')
  const list = element('ol', 'steps')
  let before = 0
  for (const { name, words, ms } of steps) {
    // Phases that never began: a failed exchange may have no handler's time, but it has an end.
    if (ms === undefined) continue
    const took = Math.max(0, ms - before)
    before = Math.max(before, ms)
    const part = element('span')
    part.dataset.step = name
    part.style.flexGrow = `${took}`
    bar.append(part)
    const item = element('li', '', `${words} `, element('b', '', duration(took)))
    item.dataset.step = name
    list.append(item)
  }
  const total = state === 'ended' ? `${duration(doneMs ?? before)} in all` : `${state}…`
  list.append(element('li', '', total))
  return element('div', 'timing', bar, list)
}
