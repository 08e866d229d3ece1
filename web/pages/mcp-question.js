/**
 * Calls of MCP tools that wait for a person. They end as any question does: by the person, the deadline, the
 * agent that leaves, or the page that gives up its URL.
 */
import { mostName } from './questions.js'

const progressMs = 10_000

export class CallQuestions {
  #questions
  #pulse
  /** @type {Map<string, Set<string>>} ids of waiting questions, by the caller and the id of the call */
  #calls = new Map()

  /**
   * @param {import('./questions.js').Questions} questions
   * @param {import('./pulse.js').Pulse} pulse
   */
  constructor(questions, pulse) {
    this.#questions = questions
    this.#pulse = pulse
  }

  /**
   * Asks the person to allow a call, and resolves when the question has ended, or to undefined at once if too
   * many wait.
   * @param {{ text: string, options: string[] }} of
   * @param {import('/sdk.js').Info} info
   * @param {any} mcpReq the call in the terms of the SDK
   * @returns {Promise<import('./questions.js').Question | undefined>}
   */
  async ask({ text, options }, info, mcpReq) {
    const question = this.#questions.add({
      text,
      options,
      from: clientOf(mcpReq),
      address: hostOf(info),
      later: false,
      forMs: info.timeoutMs,
    })
    if (!question) return undefined
    const call = callOf(info, mcpReq.id)
    const mine = this.#calls.get(call) ?? new Set()
    this.#calls.set(call, mine.add(question.id))
    const stop = this.#tellProgress(mcpReq)
    const signal = AbortSignal.any([mcpReq.signal, info.signal])
    await this.#questions.ended(question, info.timeoutMs, signal)
    stop()
    mine.delete(question.id)
    if (!mine.size) this.#calls.delete(call)
    this.#questions.end(question.id, endOf(signal, info.signal))
    return question
  }

  /**
   * Withdraws the question of a call. Calls have no session, so it is the one of the same address, program
   * and id, if it is the only one.
   * @param {import('/sdk.js').Info} info
   * @param {unknown} id
   */
  takeBack = (info, id) => {
    const mine = this.#calls.get(callOf(info, id))
    if (mine?.size === 1) for (const question of mine) this.#questions.end(question, 'left')
  }

  /**
   * Reports progress to a client that asked for it while the question waits, so that the client keeps
   * waiting.
   * @param {any} mcpReq
   */
  #tellProgress({ _meta, notify }) {
    const progressToken = _meta?.progressToken
    if (progressToken === undefined) return () => {}
    let progress = 0
    let toldMs = this.#pulse.now()
    return this.#pulse.listen(() => {
      const now = this.#pulse.now()
      if (now - toldMs < progressMs) return
      toldMs = now
      const params = { progressToken, progress: ++progress, message: 'Waiting for the person.' }
      notify({ method: 'notifications/progress', params }).catch(() => {})
    })
  }
}

/**
 * Returns the name of the calling program in its own words; calls before 2026-07-28 have none.
 * @param {any} mcpReq
 */
export function clientOf(mcpReq) {
  const client = mcpReq.envelope?.['io.modelcontextprotocol/clientInfo']
  return `${client?.title ?? client?.name ?? 'An agent'}`.slice(0, mostName)
}

/** @param {import('/sdk.js').Info} info */
export function hostOf({ remoteAddr }) {
  return remoteAddr.replace(/:\d+$/, '')
}

/**
 * @param {import('/sdk.js').Info} info
 * @param {unknown} id
 */
function callOf(info, id) {
  const agent = info.headers.find(([name]) => name.toLowerCase() === 'user-agent')?.[1] ?? ''
  return JSON.stringify([hostOf(info), agent, id])
}

/**
 * @param {AbortSignal} signal
 * @param {AbortSignal} ofExchange
 */
function endOf({ aborted }, { reason }) {
  if (!aborted) return 'expired'
  return reason?.message === 'closed' ? 'lost' : 'left'
}
