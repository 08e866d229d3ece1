/** Handlers whose code is loaded after the page, or with the first request that needs it. */

/** @typedef {(request: Request, info: import('/sdk.js').Info) => Promise<Response>} Handle */

/**
 * Returns a handler that loads another, and is it from then on. While that cannot be loaded visitors
 * get 503, and the next one tries again.
 * @param {() => Promise<Handle>} load
 * @returns {Handle & { load(): Promise<Handle> }}
 */
export function later(load) {
  /** @type {Promise<Handle> | undefined} */
  let loading
  const once = () => {
    loading ??= load().catch((e) => {
      loading = undefined
      throw e
    })
    return loading
  }
  /** @type {Handle} */
  const handle = async (request, info) => {
    const loaded = await once().catch(() => undefined)
    if (loaded) return loaded(request, info)
    const headers = { 'Retry-After': '5' }
    return new Response('This page cannot load what answers here.\n', { status: 503, headers })
  }
  return Object.assign(handle, { load: once })
}
