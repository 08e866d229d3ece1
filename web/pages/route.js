/** The fragment of the URL says what a page shows: `#/exchange/ID?filter=TEXT`. */

/** @param {{ id: string, filter: string }} shown */
export function toHash({ id, filter }) {
  const query = filter ? `?${new URLSearchParams({ filter })}` : ''
  return id || query ? `#/${id ? `exchange/${encodeURIComponent(id)}` : ''}${query}` : ''
}

/**
 * @param {string} hash
 * @returns {{ id: string, filter: string }}
 */
export function atHash(hash) {
  const [, id = '', query = ''] = /^#\/(?:exchange\/([^?]*))?(?:\?(.*))?$/s.exec(hash) ?? []
  return { id: decoded(id), filter: new URLSearchParams(query).get('filter') ?? '' }
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
