/** XML as people read it: an element a line, indented by its depth. Nothing is parsed that could load or run. */

const mostDepth = 50

/**
 * Returns XML with a line for each tag that has no text beside it. What is not well-formed comes out somehow, and whole.
 * @param {string} text
 */
export function indented(text) {
  // Each alternative ends soon, so that text which only looks like XML takes no time either.
  const pieces =
    text.match(/<!--[^]{0,9999}?-->|<!\[CDATA\[[^]{0,9999}?\]\]>|<[^<>]*>|[^<]+|</g) ?? []
  /** @type {string[]} */
  const out = []
  let depth = 0
  /** Whether the line goes on: text follows a tag in its line, and so does the tag that ends it. */
  let on = false
  for (const piece of pieces) {
    if (!piece.trim()) continue
    const isTag = /^<.*>$/s.test(piece) && !piece.startsWith('<![CDATA[')
    const ends = piece.startsWith('</')
    if (ends) depth = Math.max(0, depth - 1)
    if (!isTag || (ends && on)) {
      out.push(`${out.pop() ?? ''}${piece.trim()}`)
      on = !isTag
    } else {
      out.push(' '.repeat(2 * Math.min(depth, mostDepth)) + piece)
      on = false
    }
    const opens = isTag && !ends && !/^<[?!]|\/>$/.test(piece)
    if (opens) {
      depth++
      on = true
    }
    if (isTag && !opens && !ends) on = false
  }
  return out.join('\n')
}
