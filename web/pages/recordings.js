/** The recordings of a claim's exchanges at the gateway. */

/**
 * @typedef {import('../../sdk-js/src/envelope.js').Recorded} Recorded
 * @typedef {import('../../sdk-js/src/envelope.js').Recording} Recording
 * @typedef {import('../../sdk-js/src/envelope.js').ReplayRequest} ReplayRequest
 * @typedef {{ exchanges: string, token: string, viewer?: boolean }} At where recordings are, and the
 *   token that may see them; that of a viewer may do nothing else
 */

/** How many recordings a gateway stores of a claim, and returns at once. */
export const mostKept = 200
const waitSeconds = 25
const firstPauseMs = 500
const idleMs = 5_000
const longestPauseMs = 15_000

/** The error for an answer other than success. */
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
 * Reports all recordings, and each again whenever it changes, until the signal aborts or the claim
 * is gone. It uses the link of the claim while that is open, and otherwise long polls.
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
      // The link opens again soon, or the claim is given up.
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
 * Reports recordings that come by a link.
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
      // The caller then asks whether recording is on again.
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
    /** Resolves at once if the link is not open, or when it closes. */
    over: () => over,
    get open() {
      return listener.open
    },
    /** Returns a signal that aborts a long poll when the link has opened. */
    waiting: () => {
      if (waiting.signal.aborted && !signal.aborted) waiting = new AbortController()
      return waiting.signal
    },
  }
}

/**
 * Returns a complete recording, or undefined if the gateway has dropped it.
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
 * Returns the ids of the recordings that pass filters at the gateway.
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
 * Sends a recorded request to the handler again, with changes if given. Returns the id of the new
 * exchange.
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
 * Deletes the recordings of completed exchanges.
 * @param {At} at
 */
export async function clear({ exchanges, token }) {
  await ask(exchanges, token, { method: 'DELETE' })
}

/**
 * Sends a request with a token to the gateway. Throws its problem if it refuses.
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
