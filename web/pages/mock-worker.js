/** Runs before the code of the editor, in the worker of the mock API: defines `mock`. */
'use strict'

{
  // MSW stores cookies of mocked answers, and needs storage for that. A worker has none, so this map replaces
  // it until the worker ends.
  const kept = new Map()
  self.localStorage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, `${value}`),
    removeItem: (name) => void kept.delete(name),
  }

  /**
   * Answers with handlers of MSW and apps of Hono, in the order in which they are given.
   */
  self.mock = (...given) => {
    const all = given.flat()
    const handlers = all.filter((one) => typeof one?.parse === 'function')
    const apps = all.filter((one) => typeof one?.fetch === 'function' && one.router)
    if (handlers.length + apps.length < all.length || !all.length) {
      throw new TypeError('mock takes MSW handlers and Hono apps')
    }
    const routes = [
      ...handlers.map(({ info }) => info.header),
      ...apps.flatMap((app) => app.routes.map(({ method, path }) => `${method} ${path}`)),
    ]

    self.serve(async (request, info) => {
      // MSW compares whole URLs, so paths belong to this claim.
      const baseUrl = new URL(request.url).origin
      if (handlers.length) {
        // If there are handlers, MSW was imported.
        const { getResponse } = self.playgroundLibraries.msw
        const response = await getResponse(handlers, request.clone(), { baseUrl })
        if (response) return response
      }
      for (const app of apps) {
        const response = await app.fetch(request.clone(), info)
        // An app without a matching route answers with this status; the next app may have one.
        if (response.status !== 404 || knows(app, request)) return response
      }
      const detail = `No handler answers ${info.method} ${new URL(request.url).pathname}.`
      return Response.json({ status: 404, detail, routes }, { status: 404 })
    })
  }

  /** Reports whether an app has a route for a request. */
  function knows(app, { method, url }) {
    const [matched] = app.router.match(method, new URL(url).pathname)
    return matched.length > 0
  }
}
