/** A JSON parser that keeps what JSON.parse loses: the digits of numbers, and repeated members. */

const deepest = 200

/**
 * @typedef {{ kind: 'object', members: [string, JSONNode][] }
 *   | { kind: 'array', items: JSONNode[] }
 *   | { kind: 'string' | 'number' | 'word', text: string }} JSONNode
 */

/**
 * Parses JSON. Returns undefined if the text is not JSON, or is nested too deeply.
 * @param {string} text
 * @returns {JSONNode | undefined}
 */
export function readJSON(text) {
  try {
    JSON.parse(text)
  } catch {
    return undefined
  }
  const tokens = text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]|[^\s{}[\],:"]+/g)
  const next = () => tokens.next().value?.[0] ?? ''
  try {
    return value(next(), 0)
  } catch (e) {
    if (e instanceof RangeError) return undefined
    throw e
  }

  /**
   * @param {string} token
   * @param {number} depth
   * @returns {JSONNode}
   */
  function value(token, depth) {
    if (depth > deepest) throw new RangeError('nested too deep')
    if (token === '{') {
      /** @type {[string, JSONNode][]} */
      const members = []
      for (let name = next(); name !== '}'; name = next()) {
        members.push([JSON.parse(name), value(next(), depth + 1)])
      }
      return { kind: 'object', members }
    }
    if (token === '[') {
      /** @type {JSONNode[]} */
      const items = []
      for (let item = next(); item !== ']'; item = next()) items.push(value(item, depth + 1))
      return { kind: 'array', items }
    }
    if (token.startsWith('"')) return { kind: 'string', text: JSON.parse(token) }
    return { kind: /^[-\d]/.test(token) ? 'number' : 'word', text: token }
  }
}
