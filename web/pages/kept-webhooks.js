/**
 * The webhooks that the inbox accepted, in IndexedDB, where they outlive the page and the gateway's
 * recordings: at most 200 and 32 MiB, the newest of all labels. Once `keep` resolves, the webhook is on the
 * disk.
 */
export const mostWebhooks = 200
export const mostBytes = 32 * 1024 * 1024

/**
 * @typedef {import('./recordings.js').Recording} Recording
 * @typedef {{ id: string, label: string, atMs: number, bytes: number, recording: Recording }} Webhook
 */

/** @type {Promise<IDBDatabase> | undefined} */
let opening

/** Opens the database once; after a failure, again. */
function database() {
  opening ??= new Promise((resolve, reject) => {
    const opened = indexedDB.open('reversehttp inbox', 1)
    opened.onupgradeneeded = () => {
      const store = opened.result.createObjectStore('webhooks', { keyPath: 'id' })
      store.createIndex('atMs', 'atMs')
    }
    opened.onerror = () => reject(opened.error)
    opened.onblocked = () => reject(new Error('another tab holds an older version'))
    opened.onsuccess = () => resolve(opened.result)
  })
  opening.catch(() => (opening = undefined))
  return opening
}

/**
 * Stores a webhook, in place of one with the same id, and drops the oldest beyond the bounds. Rejects if the
 * browser has no room or stores nothing.
 * @param {Webhook} webhook
 */
export async function keep(webhook) {
  const db = await database()
  const tx = db.transaction('webhooks', 'readwrite', { durability: 'strict' })
  const store = tx.objectStore('webhooks')
  store.put(webhook)
  let kept = 0
  let bytes = 0
  const newest = store.index('atMs').openCursor(null, 'prev')
  newest.onsuccess = () => {
    const cursor = newest.result
    if (!cursor) return
    kept++
    bytes += cursor.value.bytes
    // Never the new one, since its sender gets a success for it.
    const tooMuch = kept > mostWebhooks || bytes > mostBytes
    if (tooMuch && cursor.value.id !== webhook.id) cursor.delete()
    cursor.continue()
  }
  await over(tx)
}

/**
 * Returns the webhooks of a label.
 * @param {string} label
 * @returns {Promise<Webhook[]>}
 */
export async function webhooksOf(label) {
  const db = await database()
  /** @type {Webhook[]} */
  const all = await result(db.transaction('webhooks').objectStore('webhooks').getAll())
  return all.filter((one) => one.label === label)
}

/**
 * Returns a webhook, or undefined if it is not stored.
 * @param {string} id
 * @returns {Promise<Webhook | undefined>}
 */
export async function webhook(id) {
  const db = await database()
  return result(db.transaction('webhooks').objectStore('webhooks').get(id))
}

/**
 * Forgets the webhooks of a label.
 * @param {string} label
 */
export async function forget(label) {
  const gone = await webhooksOf(label)
  const tx = (await database()).transaction('webhooks', 'readwrite')
  for (const { id } of gone) tx.objectStore('webhooks').delete(id)
  await over(tx)
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** @param {IDBTransaction} tx */
function over(tx) {
  return new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve(undefined)
    tx.onabort = () => reject(tx.error ?? new Error('not stored'))
  })
}
