/**
 * Questions that wait for a person, and the requests that ask them. A request waits for the answer, which is
 * its response; with `Prefer: respond-async` (RFC 7240, 4.1) it gets 202 and the URL of the question instead.
 */
import { hostOf, networkOf } from './address.js'
import { askerPage, answerPage } from './asker-page.js'
import { hexOf } from './hex.js'
import { Rate } from './rate.js'

export const mostQuestions = 50
export const mostOfOne = 5
/** The most questions that a network asks in a minute, also if it withdraws them. */
export const mostInMinute = 30
export const mostText = 4_000
export const mostOptions = 10
export const mostOption = 100
export const mostName = 80
const mostEnded = 200
const asyncMs = 24 * 60 * 60 * 1000
const pollS = 5

/**
 * @typedef {'waiting' | 'answered' | 'declined' | 'left' | 'expired' | 'lost'} State `lost`: the page
 *   gave up the URL
 *
 * @typedef {object} Question
 * @property {string} id
 * @property {string} text
 * @property {string[]} options the answers to choose from; empty for any text
 * @property {string} from the asker's name; empty if not given
 * @property {string} address the address that the request came from
 * @property {boolean} later whether the asker fetches the answer later
 * @property {number} askedAt in milliseconds
 * @property {number} expiresAt in milliseconds
 * @property {State} state
 * @property {string} answer empty until there is one
 * @property {number} [endedAt] in milliseconds
 */

/** The questions of a page. `changed` is called with each question that is new or changes its state. */
export class Questions {
  /** @type {Map<string, Question>} the oldest first; ended ones are forgotten in time */
  #all = new Map()
  /** @type {Map<string, Set<() => void>>} called at the end of a question */
  #waiting = new Map()
  #changed
  #now
  #rate

  /**
   * @param {(question: Question) => void} changed
   * @param {() => number} [now] the time in milliseconds
   */
  constructor(changed, now = Date.now) {
    this.#changed = changed
    this.#now = now
    this.#rate = new Rate(mostInMinute, 60_000, now)
  }

  /** @param {string} id */
  get(id) {
    const question = this.#all.get(id)
    if (question) this.#expire(question)
    return question
  }

  /** The waiting questions, the oldest first. */
  waiting() {
    return [...this.#all.values()].filter((question) => {
      this.#expire(question)
      return question.state === 'waiting'
    })
  }

  /**
   * Adds a question, unless too many wait or the asker asks too often.
   * @param {Omit<Question, 'id' | 'askedAt' | 'state' | 'answer' | 'expiresAt'> & { forMs: number }} asked
   * @returns {Question | undefined}
   */
  add({ forMs, ...asked }) {
    const waiting = this.waiting()
    const network = networkOf(asked.address)
    const mine = waiting.filter(({ address }) => networkOf(address) === network)
    if (waiting.length >= mostQuestions || mine.length >= mostOfOne) return undefined
    if (!this.#rate.may(asked.address)) return undefined
    const now = this.#now()
    /** @type {Question} */
    const question = {
      ...asked,
      id: newId(),
      askedAt: now,
      expiresAt: now + forMs,
      state: 'waiting',
      answer: '',
    }
    this.#all.set(question.id, question)
    this.#forget()
    this.#changed(question)
    return question
  }

  /**
   * Ends a question that waits, and reports whether it did.
   * @param {string} id
   * @param {Exclude<State, 'waiting'>} state
   * @param {string} [answer]
   */
  end(id, state, answer = '') {
    const question = this.#all.get(id)
    if (question?.state !== 'waiting') return false
    Object.assign(question, { state, answer, endedAt: this.#now() })
    this.#changed(question)
    for (const told of this.#waiting.get(id) ?? []) told()
    this.#waiting.delete(id)
    return true
  }

  /**
   * Waits until a question has ended, the time is over, or the signal aborts.
   * @param {Question} question
   * @param {number} ms
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  ended(question, ms, signal) {
    return new Promise((resolve) => {
      this.#expire(question)
      if (question.state !== 'waiting' || signal.aborted || ms <= 0) return resolve()
      const told = this.#waiting.get(question.id) ?? new Set()
      this.#waiting.set(question.id, told)
      const done = () => {
        clearTimeout(timer)
        told.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, question.expiresAt - this.#now()))
      told.add(done)
      signal.addEventListener('abort', done)
    })
  }

  /** Ends all waiting questions, since nobody can reach this page any longer. */
  close() {
    for (const { id } of this.waiting()) this.end(id, 'lost')
  }

  /** Forgets questions that ended long ago; those whose askers may still fetch the answer last. */
  #forget() {
    const ended = [...this.#all.values()].filter(({ state }) => state !== 'waiting')
    const wanted = (/** @type {Question} */ { later, state }) => Number(later && state !== 'left')
    ended.sort((a, b) => wanted(a) - wanted(b))
    for (const { id } of ended.slice(0, Math.max(ended.length - mostEnded, 0))) this.#all.delete(id)
  }

  /** @param {Question} question */
  #expire(question) {
    if (this.#now() >= question.expiresAt) this.end(question.id, 'expired')
  }
}

/** Returns a random id. */
function newId() {
  return hexOf(crypto.getRandomValues(new Uint8Array(16)))
}

/**
 * Returns the handler that lets visitors ask.
 * @param {Questions} questions
 * @param {(request: Request, info: import('/sdk.js').Info) => Promise<Response>} [mcp] answers agents
 * @returns {import('/sdk.js').Handler}
 */
export function askHandler(questions, mcp) {
  return async (request, info) => {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === '/mcp' && mcp) return mcp(request, info)
    const reply = replyTo(request, info.base)
    if (pathname.startsWith('/questions/')) {
      return asked(questions, pathname.slice('/questions/'.length), request, info, reply)
    }
    if (pathname !== '/') return reply.problem(404, 'There is nothing here. Ask at / of this URL.')
    if (info.method === 'GET' || info.method === 'HEAD') return reply.form()
    if (info.method !== 'POST') {
      return reply.problem(405, 'POST a question.', { Allow: 'GET, HEAD, POST' })
    }
    const read = questionOf(request, info.content, searchParams)
    if ('wrong' in read) return reply.problem(read.status, read.wrong)
    const later = /(^|[,\s])respond-async([,;\s]|$)/i.test(request.headers.get('Prefer') ?? '')
    const forMs = later ? asyncMs : info.timeoutMs
    const question = questions.add({ ...read, address: hostOf(info.remoteAddr), later, forMs })
    if (!question) {
      const why = 'Too many questions wait already, or you ask too often. Ask again later.'
      return reply.problem(429, why, { 'Retry-After': '60' })
    }
    const url = `${info.base}questions/${question.id}`
    if (later) {
      return Response.json(shown(question, url), {
        status: 202,
        headers: {
          Location: url,
          'Preference-Applied': 'respond-async',
          'Retry-After': `${pollS}`,
        },
      })
    }
    // A little before the gateway's deadline, so that the response comes from here.
    await questions.ended(question, info.timeoutMs - 500, info.signal)
    questions.end(question.id, endOf(info.signal))
    return reply.end(question, url)
  }
}

/**
 * Returns the state of a question without an answer, from the reason of the abort.
 * @param {AbortSignal} signal
 */
function endOf({ aborted, reason }) {
  if (!aborted || reason?.name === 'TimeoutError') return 'expired'
  return reason?.message === 'closed' ? 'lost' : 'left'
}

/**
 * @param {Questions} questions
 * @param {string} id
 * @param {Request} request
 * @param {import('/sdk.js').Info} info
 * @param {ReturnType<typeof replyTo>} reply
 */
async function asked(questions, id, request, info, reply) {
  const question = questions.get(id)
  if (!question) return reply.problem(404, 'There is no such question.')
  if (info.method === 'DELETE') {
    questions.end(id, 'left')
    return new Response(null, { status: 204 })
  }
  if (info.method !== 'GET' && info.method !== 'HEAD') {
    return reply.problem(405, 'GET the answer.', { Allow: 'GET, HEAD, DELETE' })
  }
  const wait = Number(
    /(?:^|[,\s])wait=(\d{1,4})\b/i.exec(request.headers.get('Prefer') ?? '')?.[1] ?? 0,
  )
  if (info.method === 'GET') {
    await questions.ended(question, Math.min(wait * 1000, info.timeoutMs - 500), info.signal)
  }
  return reply.end(question, `${info.base}questions/${id}`, true)
}

/**
 * Reads a question from JSON, from a form, or from the content itself.
 * @param {Request} request
 * @param {Uint8Array} bytes its content
 * @param {URLSearchParams} query
 * @returns {{ wrong: string, status: number } | { text: string, options: string[], from: string }}
 */
function questionOf(request, bytes, query) {
  const content = new TextDecoder().decode(bytes)
  const type = (request.headers.get('Content-Type') ?? '').split(';')[0].trim().toLowerCase()
  /** @type {any} */
  let asked = { question: content, options: query.getAll('option'), from: query.get('from') }
  if (type === 'application/json' || type.endsWith('+json')) {
    try {
      asked = JSON.parse(content)
    } catch {
      return {
        status: 400,
        wrong: 'The content is not JSON: {"question": "…", "options": ["yes", "no"]}.',
      }
    }
    if (typeof asked === 'string') asked = { question: asked }
  } else if (type === 'application/x-www-form-urlencoded') {
    const form = new URLSearchParams(content)
    // curl -d 'any text' also declares a form.
    if (form.has('question')) {
      const options = form.getAll('option').filter(Boolean)
      asked = { question: form.get('question'), options, from: form.get('from') }
    }
  }
  const { question, options = [], from = '' } = asked ?? {}
  const text = typeof question === 'string' ? question.trim() : ''
  if (!text)
    return {
      status: 400,
      wrong: 'The question is missing: send it as the content, or as JSON with "question".',
    }
  if (text.length > mostText)
    return { status: 413, wrong: `A question has ${mostText} characters at most.` }
  const good = (/** @type {unknown} */ o) =>
    typeof o === 'string' && o.trim() && o.length <= mostOption
  if (!Array.isArray(options) || options.length > mostOptions || !options.every(good)) {
    return {
      status: 400,
      wrong: `Options are ${mostOptions} texts of ${mostOption} characters at most.`,
    }
  }
  const trimmed = options.map((/** @type {string} */ o) => o.trim())
  return {
    text,
    options: [...new Set(trimmed)],
    from: typeof from === 'string' ? from.trim().slice(0, mostName) : '',
  }
}

const statuses = { waiting: 200, answered: 200, declined: 403, left: 410, expired: 504, lost: 503 }
const words = {
  waiting: 'Nobody has answered yet.',
  declined: 'The person does not want to answer this.',
  left: 'The asker withdrew the question.',
  expired: 'Nobody answered in time.',
  lost: 'The person gave up this URL before there was an answer.',
}

/**
 * Answers in the form that a request accepts: HTML for browsers, JSON if it is asked for or was
 * sent, plain text otherwise.
 * @param {Request} request
 * @param {string} base the URL at which to ask
 */
function replyTo(request, base) {
  const accept = request.headers.get('Accept') ?? ''
  const sent = request.headers.get('Content-Type') ?? ''
  const html = /text\/html/i.test(accept)
  const json =
    !html && (/json/i.test(accept) || (/json/i.test(sent) && !/text\/plain/i.test(accept)))
  const answer = (
    /** @type {number} */ status,
    /** @type {{ html: () => string, json: () => unknown, text: () => string }} */ of,
    /** @type {Record<string, string>} */ fields = {},
  ) => {
    const headers = new Headers({ 'Cache-Control': 'no-store', ...fields })
    if (html) {
      headers.set('Content-Type', 'text/html; charset=utf-8')
      headers.set('Content-Security-Policy', policy)
      return new Response(of.html(), { status, headers })
    }
    headers.set('Content-Type', json ? 'application/json' : 'text/plain; charset=utf-8')
    return new Response(json ? JSON.stringify(of.json()) : of.text(), { status, headers })
  }
  return {
    form: () =>
      answer(200, {
        html: () => askerPage(base),
        json: () => ({ ask: base, content: { question: 'Ship it?', options: ['yes', 'no'] } }),
        text: () =>
          `A person answers here. Ask them:\n\n  curl ${base} -d 'Shall we have lunch?'\n  curl ${base} -d question='Ship it?' -d option=yes -d option=no\n`,
      }),
    /**
     * @param {number} status
     * @param {string} detail
     * @param {Record<string, string>} [fields]
     */
    problem: (status, detail, fields) =>
      answer(
        status,
        {
          html: () => answerPage(base, detail),
          json: () => ({ status, detail }),
          text: () => `${detail}\n`,
        },
        fields,
      ),
    /**
     * @param {Question} question
     * @param {string} url
     * @param {boolean} [looked] whether the request is for the question itself, which is gone once it expired
     */
    end: (question, url, looked = false) => {
      const { state, text } = question
      const said = state === 'answered' ? question.answer : words[state]
      const fields = state === 'waiting' ? { 'Retry-After': `${pollS}` } : undefined
      return answer(
        looked && state === 'expired' ? 410 : statuses[state],
        {
          html: () => answerPage(base, said, text),
          json: () => shown(question, url),
          text: () => `${said}\n`,
        },
        fields,
      )
    },
  }
}

const policy =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

/**
 * Returns a question as its asker gets it in JSON.
 * @param {Question} question
 * @param {string} url
 */
function shown({ text, options, state, answer }, url) {
  return { status: state, ...(state === 'answered' && { answer }), question: text, options, url }
}
