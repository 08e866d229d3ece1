/** Content of forms: application/x-www-form-urlencoded. */

const mostPairs = 1_000

/**
 * Returns the names and values of a form, or of the query of a URL without its `?`, decoded as the
 * URL standard does. Those after the first thousand are left out.
 * @param {string} text
 * @returns {[string, string][]}
 */
export function parseForm(text) {
  // URLSearchParams skips one leading question mark, which is part of the first name here.
  return [...new URLSearchParams(`?${text}`)].slice(0, mostPairs)
}
