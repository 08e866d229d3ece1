/** Parses server-sent events from a complete text. */

const mostEvents = 2_000

/**
 * Returns the events of a stream by the rules of the HTML standard (9.2.6), the first 2,000. An
 * event without an empty line after it is incomplete and left out.
 * @param {string} text
 * @returns {{ event: string, data: string, id: string }[]} `id` is the last one that was given
 */
export function parseEvents(text) {
  const events = []
  let event = ''
  let id = ''
  /** @type {string[]} */
  let data = []
  for (const line of lines(text)) {
    if (line === '') {
      if (data.length) events.push({ event: event || 'message', data: data.join('\n'), id })
      if (events.length === mostEvents) break
      event = ''
      data = []
      continue
    }
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') event = value
    else if (name === 'data') data.push(value)
    else if (name === 'id' && !value.includes('\0')) id = value
  }
  return events
}

/**
 * Yields the lines without their ends, which are CRLF, LF or CR.
 * @param {string} text
 */
function* lines(text) {
  const end = /\r\n|\n|\r/g
  let from = text.startsWith('\ufeff') ? 1 : 0
  for (let at = end.exec(text); at; at = end.exec(text)) {
    yield text.slice(from, at.index)
    from = end.lastIndex
  }
}
