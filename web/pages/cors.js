/** Cross-origin calls, for handlers that say nothing of them: https://fetch.spec.whatwg.org/#http-cors-protocol */

/**
 * Lets pages of any origin call a handler, without credentials. What the handler says itself stays.
 * @param {import('/sdk.js').Handler} handler
 * @param {() => boolean} wanted
 * @returns {import('/sdk.js').Handler}
 */
export function withCORS(handler, wanted) {
  return async (request, info) => {
    // A Request of a browser drops what a preflight asks for.
    const field = (/** @type {string} */ name) =>
      info.headers.find(([of]) => of.toLowerCase() === name)?.[1]
    const response = await handler(request, info)
    if (!wanted() || !response || response.headers.has('Access-Control-Allow-Origin'))
      return response
    const asked = field('access-control-request-method')
    const preflight = info.method === 'OPTIONS' && asked
    const fields = new Headers(preflight ? {} : response.headers)
    fields.set('Access-Control-Allow-Origin', '*')
    if (!preflight) {
      fields.set('Access-Control-Expose-Headers', '*')
      const { status, statusText, body } = response
      return new Response(body, { status, statusText, headers: fields })
    }
    // A mock that has no handler of OPTIONS is asked all the same.
    fields.set('Access-Control-Allow-Methods', asked)
    const names = field('access-control-request-headers')
    if (names) fields.set('Access-Control-Allow-Headers', names)
    fields.set('Access-Control-Max-Age', '60')
    return new Response(null, { status: 204, headers: fields })
  }
}
