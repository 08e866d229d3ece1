/** The recordings of a claim: what the gateway keeps of its exchanges. */

/**
 * @typedef {import('../../sdk-js/src/envelope.js').Recorded} Recorded
 * @typedef {import('../../sdk-js/src/envelope.js').Recording} Recording
 * @typedef {import('../../sdk-js/src/envelope.js').ReplayRequest} ReplayRequest
 * @typedef {{ exchanges: string, token: string, viewer?: boolean }} At where recordings are, and the
 *   token that may see them; that of a viewer may do nothing else
 */

/** How many recordings a gateway keeps of a claim, and lists at once. */
export const mostKept = 200
const waitSeconds = 25
const firstPauseMs = 500
const idleMs = 5_000
const longestPauseMs = 15_000

/** An answer that is not what was asked for. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/**
 * Reports the recordings that there are, and each again whenever it changes, until the signal
 * aborts or the claim is gone: by the link of the claim while that is open, otherwise by requests
 * that wait at the gateway.
 * @param {At & { signal: AbortSignal, link?: import('./link-watch.js').LinkWatch }} at
 * @param {(recorded: Recorded) => void} onRecorded
 * @param {() => void} onCleared the recordings of exchanges that ended were deleted
 * @param {() => void} [onListed] all that there were are reported
 */
export async function watch(at, onRecorded, onCleared, onListed) {
  const { exchanges, token, signal, link } = at
  const state = { change: '', pauseMs: firstPauseMs }
  const linked = link && byLink(link, state, signal, onRecorded, onCleared)
  while (!signal.aborted) {
    if (linked?.open) {
      await linked.over()
      // It is opened again soon, or the claim is given up.
      await pause(firstPauseMs, signal)
      continue
    }
    const { change } = state
    const query = new URLSearchParams({ limit: `${mostKept}`, ...(change && { after: change }) })
    try {
      const wait = change ? { Prefer: `wait=${waitSeconds}` } : undefined
      const waiting = change ? linked?.waiting() : undefined
      const answer = await ask(`${exchanges}?${query}`, token, { signal: waiting ?? signal }, wait)
      const batch = await json(answer)
      if (batch.cleared) onCleared()
      for (const recorded of batch.exchanges.reverse()) onRecorded(recorded)
      state.change = batch.change
      state.pauseMs = firstPauseMs
      // Nothing is recorded.
      if (!batch.change) await pause(idleMs, signal)
      if (!change && batch.change) {
        onListed?.()
        linked?.begin()
      }
    } catch (e) {
      if (signal.aborted || (e instanceof Refused && [401, 403, 404].includes(e.status))) break
      if (linked?.open) continue
      await pause(state.pauseMs, signal)
      state.pauseMs = Math.min(state.pauseMs * 2, longestPauseMs)
    }
  }
  linked?.end()
}

/**
 * Has recordings reported that come by a link.
 * @param {import('./link-watch.js').LinkWatch} link
 * @param {{ change: string }} state
 * @param {AbortSignal} signal
 * @param {(recorded: Recorded) => void} onRecorded
 * @param {() => void} onCleared
 */
function byLink(link, state, signal, onRecorded, onCleared) {
  let waiting = new AbortController()
  let over = Promise.resolve()
  let close = () => {}
  signal.addEventListener('abort', () => {
    waiting.abort()
    close()
  })
  const listener = {
    open: false,
    change: () => state.change,
    told: (/** @type {import('./link-watch.js').Told} */ { change, exchange, cleared, last }) => {
      state.change = change
      if (cleared) onCleared()
      if (exchange) onRecorded(exchange)
      // Whether something is recorded again is asked for.
      if (last) listener.closed()
    },
    opened: () => {
      listener.open = true
      over = new Promise((resolve) => (close = resolve))
      waiting.abort()
    },
    closed: () => {
      listener.open = false
      close()
    },
  }
  return {
    begin: () => link.listen(listener),
    end: () => link.leave(listener),
    /** Resolves while nothing comes by the link, or once nothing does. */
    over: () => over,
    get open() {
      return listener.open
    },
    /** Returns the signal that ends a request which waits: the link has opened. */
    waiting: () => {
      if (waiting.signal.aborted && !signal.aborted) waiting = new AbortController()
      return waiting.signal
    },
  }
}

/**
 * Returns one recording whole; undefined where the gateway has dropped it.
 * @param {At} at
 * @param {string} id
 * @returns {Promise<Recording | undefined>}
 */
export async function recordingOf({ exchanges, token }, id) {
  try {
    return await json(await ask(`${exchanges}/${encodeURIComponent(id)}`, token))
  } catch (e) {
    if (e instanceof Refused && e.status === 404) return undefined
    throw e
  }
}

/**
 * Returns the ids of the recordings that pass filters of the gateway.
 * @param {At} at
 * @param {URLSearchParams} params
 * @returns {Promise<Set<string>>}
 */
export async function search({ exchanges, token }, params) {
  const query = new URLSearchParams(params)
  query.set('limit', `${mostKept}`)
  const list = await json(await ask(`${exchanges}?${query}`, token))
  return new Set(list.exchanges.map((/** @type {Recorded} */ { id }) => id))
}

/**
 * Gives the recorded request to the handler again, with what is to replace its members; returns
 * the id of the new exchange.
 * @param {At} at
 * @param {string} id
 * @param {ReplayRequest} [changes]
 * @returns {Promise<string>}
 */
export async function replay({ exchanges, token }, id, changes = {}) {
  const content = { method: 'POST', body: JSON.stringify(changes) }
  const headers = { 'Content-Type': 'application/json' }
  const url = `${exchanges}/${encodeURIComponent(id)}/replay`
  return (await json(await ask(url, token, content, headers))).id
}

/**
 * Deletes the recordings of exchanges that ended.
 * @param {At} at
 */
export async function clear({ exchanges, token }) {
  await ask(exchanges, token, { method: 'DELETE' })
}

/**
 * Asks the gateway with a token; throws what it says where it refuses.
 * @param {string} url
 * @param {string} token
 * @param {RequestInit} [init]
 * @param {Record<string, string>} [headers]
 */
export async function ask(url, token, init, headers) {
  const all = { Authorization: `Bearer ${token}`, ...headers }
  const response = await fetch(url, { ...init, headers: all, cache: 'no-store' })
  if (response.ok) return response
  const problem = await response.json().catch(() => ({}))
  const detail = problem.detail ?? problem.title ?? `the gateway answers ${response.status}`
  throw new Refused(response.status, detail)
}

/**
 * @param {Response} response
 * @returns {Promise<any>}
 */
function json(response) {
  return response.json()
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve(undefined)
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}
