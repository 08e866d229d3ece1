/**
 * Shows notifications of a page, by a service worker: Chrome on Android refuses `new Notification`. Where there is no
 * service worker the page shows them itself.
 * https://developer.mozilla.org/docs/Web/API/Notification/Notification
 */

/** The Trusted Types policy that the Content-Security-Policy of these pages names: it has one URL. */
const { trustedTypes } = /** @type {any} */ (globalThis)
const policy = trustedTypes?.createPolicy('bell', { createScriptURL: () => '/bell-worker.js' })

/** @typedef {{ registration: ServiceWorkerRegistration, client: string }} Registered */

export class Notifier {
  #page
  /** @type {Promise<Registered | undefined> | undefined} */
  #registered

  /** @param {string} page the name of the page, which is its path, too */
  constructor(page) {
    this.#page = page
    document.addEventListener('visibilitychange', async () => {
      if (document.hidden) return
      const { registration } = (await this.#registered) ?? {}
      const shown = await registration?.getNotifications({ tag: page })
      for (const note of shown ?? []) note.close()
    })
  }

  /** Gets ready, so that the first notification is not late. */
  prepare() {
    this.#registered ??= register(this.#page).catch(() => undefined)
    return this.#registered
  }

  /**
   * Shows a notification; rejects where this browser shows none.
   * @param {string} title
   * @param {string} body
   */
  async show(title, body) {
    const options = { body, tag: this.#page }
    const { registration, client } = (await this.prepare()) ?? {}
    if (registration) {
      const data = { client, path: `/${this.#page}` }
      return registration.showNotification(title, { ...options, data })
    }
    const note = new Notification(title, options)
    note.addEventListener('click', () => {
      focus()
      note.close()
    })
  }
}

/**
 * @param {string} page
 * @returns {Promise<Registered>}
 */
async function register(page) {
  // A path below that of a page has no page, and is no claim's in any shape.
  const scope = `/${page}/`
  const script = policy ? policy.createScriptURL('') : '/bell-worker.js'
  const registration = await navigator.serviceWorker.register(script, { scope })
  const { active, waiting, installing } = registration
  const worker = /** @type {ServiceWorker} */ (active ?? waiting ?? installing)
  while (worker.state !== 'activated') {
    if (worker.state === 'redundant') throw new Error('the service worker was not installed')
    await new Promise((resolve) => worker.addEventListener('statechange', resolve, { once: true }))
  }
  const { port1, port2 } = new MessageChannel()
  const client = await new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data)
    worker.postMessage('who am I', [port2])
  })
  port1.close()
  return { registration, client }
}
