/**
 * The service worker of notifications, for Chrome on Android shows no others. It answers no requests: its scope is a
 * path without pages.
 */
const worker = /** @type {any} */ (globalThis)

/** Tells a page who it is here, for the notification that it shows. */
worker.addEventListener('message', (/** @type {any} */ { source, ports }) =>
  ports[0].postMessage(source.id),
)

worker.addEventListener('notificationclick', (/** @type {any} */ event) => {
  event.notification.close()
  event.waitUntil(show(event.notification.data))
})

/** @param {{ client: string, path: string }} page that has shown a notification */
async function show({ client, path }) {
  const { clients } = worker
  const shown = await clients.get(client)
  return shown ? shown.focus() : clients.openWindow(path)
}
