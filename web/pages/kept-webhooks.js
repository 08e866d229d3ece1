/**
 * The webhooks that the inbox accepted, in IndexedDB, where they outlive the page and the gateway's
 * recordings: at most 200 and 32 MiB of all labels. Once `keep` resolves, the webhook is on the disk.
 */
import { hostOf, networkOf } from './address.js'

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
    const opened = indexedDB.open('reversehttp inbox', 2)
    opened.onupgradeneeded = ({ oldVersion }) => {
      const store = oldVersion
        ? opened.transaction?.objectStore('webhooks')
        : opened.result.createObjectStore('webhooks', { keyPath: 'id' })
      if (oldVersion) store?.deleteIndex('atMs')
      // Has all that `tooMuch` needs, since reading the webhooks themselves would take megabytes.
      store?.createIndex('sizes', ['atMs', 'bytes', 'recording.exchange.remoteAddr'])
    }
    opened.onerror = () => reject(opened.error)
    opened.onblocked = () => reject(new Error('another tab holds an older version'))
    opened.onsuccess = () => {
      // A newer version of the page in another tab waits for this connection.
      opened.result.onversionchange = () => opened.result.close()
      resolve(opened.result)
    }
  })
  opening.catch(() => (opening = undefined))
  return opening
}

/**
 * Stores a webhook, in place of one with the same id, and drops others beyond the bounds. Rejects if the
 * browser has no room or stores nothing.
 * @param {Webhook} webhook
 */
export async function keep(webhook) {
  const db = await database()
  const tx = db.transaction('webhooks', 'readwrite', { durability: 'strict' })
  const store = tx.objectStore('webhooks')
  store.put(webhook)
  /** @type {Size[]} the oldest first */
  const all = []
  const each = store.index('sizes').openKeyCursor()
  each.onsuccess = () => {
    const cursor = each.result
    if (cursor) {
      const [, bytes, remoteAddr] = /** @type {[number, number, string]} */ (cursor.key)
      all.push({ id: `${cursor.primaryKey}`, bytes, network: networkOf(hostOf(remoteAddr)) })
      return cursor.continue()
    }
    // Never the new one, since its sender gets a success for it.
    for (const id of tooMuch(all, webhook.id)) store.delete(id)
  }
  await over(tx)
}

/**
 * @typedef {{ id: string, bytes: number, network: string }} Size
 */

/**
 * Returns the ids of the webhooks to drop: the oldest of the network that has the most. So a sender who floods
 * the URL displaces only their own webhooks.
 * @param {readonly Size[]} all the oldest first
 * @param {string} newest the id of the one that is never dropped
 */
export function tooMuch(all, newest) {
  /** @type {Map<string, { share: number, others: Size[] }>} by network */
  const networks = new Map()
  const shareOf = (/** @type {Size} */ { bytes }) => Math.max(1 / mostWebhooks, bytes / mostBytes)
  for (const one of all) {
    const of = networks.get(one.network) ?? { share: 0, others: [] }
    of.share += shareOf(one)
    if (one.id !== newest) of.others.push(one)
    networks.set(one.network, of)
  }
  let count = all.length
  let bytes = all.reduce((sum, one) => sum + one.bytes, 0)
  const gone = []
  while (count > mostWebhooks || bytes > mostBytes) {
    const [largest] = [...networks.values()]
      .filter(({ others }) => others.length)
      .sort((a, b) => b.share - a.share)
    const oldest = largest?.others.shift()
    if (!largest || !oldest) break
    largest.share -= shareOf(oldest)
    count--
    bytes -= oldest.bytes
    gone.push(oldest.id)
  }
  return gone
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
