/**
 * Filters of recordings, as people type them: terms that must all match.
 *
 *     status>=500 path^=/hook -method=GET is:replay content:"some words" word
 */
import { readable } from './field.js'

/** @typedef {import('../../sdk-js/src/envelope.js').Recorded} Recorded */
/**
 * @typedef {object} Parsed a term that was understood
 * @property {(recorded: Recorded) => boolean} holds
 * @property {[string, string]} [param] what asks the gateway for at least all that pass
 */

const mostText = 4_096
const mostTerms = 64
const mostSaid = 40

/**
 * Parses a filter. An invalid term is reported in `faults`, one sentence each, and matches
 * everything, so that a filter that is still being typed hides nothing.
 *
 * `params` are the query of GET {exchanges}. The gateway may return more than pass `test`, but not
 * less. Only the gateway sees content, so `content:` is in `params` and always passes `test`.
 * @param {string} text
 */
export function parseFilter(text) {
  const params = new URLSearchParams()
  /** @type {string[]} */
  const faults = []
  /** @type {Parsed['holds'][]} */
  const all = []
  const terms = termsOf(text.slice(0, mostText), faults)
  if (text.length > mostText || terms.length > mostTerms) {
    faults.push(`A filter has at most ${mostTerms} terms and ${mostText} characters.`)
  }
  for (const { said, negated, bare, value } of terms.slice(0, mostTerms)) {
    const parsed = bare ? wordOf(said, value) : termOf(said, value)
    if (typeof parsed === 'string') {
      faults.push(`${quoted(said)}: ${parsed}.`)
      continue
    }
    const { holds, param } = parsed
    if (negated && param?.[0] === 'content') {
      faults.push(`${quoted(said)}: content can be searched for, but not excluded.`)
      continue
    }
    all.push(negated ? (recorded) => !holds(recorded) : holds)
    // One value for each; `test` checks the others.
    if (param && !negated && !params.has(param[0])) params.set(...param)
  }
  /** @param {Recorded} recorded */
  const test = (recorded) => all.every((holds) => holds(recorded))
  return { test, params, faults }
}

/**
 * Splits a text at spaces outside quotes. In quotes \" and \\ stand for " and \.
 * @param {string} text
 * @param {string[]} faults
 */
function termsOf(text, faults) {
  const terms = []
  for (const [said] of text.matchAll(/(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|[^\s"])+/gsu)) {
    const negated = said.length > 1 && said.startsWith('-')
    const term = negated ? said.slice(1) : said
    let open = false
    const value = term.replace(/"((?:[^"\\]|\\.)*)("|\\?$)/gsu, (_, inner, end) => {
      open ||= end !== '"'
      return inner.replace(/\\(["\\])/g, '$1')
    })
    if (open) faults.push(`${quoted(said)}: the quotation mark is not closed.`)
    terms.push({ said, negated, bare: term.startsWith('"'), value })
  }
  return terms
}

/**
 * Parses a term with a name, such as status>=500, or a word.
 * @param {string} said
 * @param {string} term without its quotation marks
 * @returns {Parsed | string} what is wrong with it
 */
function termOf(said, term) {
  const [, name, operator, value] = /^([a-z]+)(>=|<=|!=|\^=|~=|[=><:])(.*)$/is.exec(term) ?? []
  if (!name) return wordOf(said, term)
  const kind = kinds.get(name.toLowerCase())
  if (!kind) {
    return `there is no "${short(name)}" to filter by; use ${[...kinds.keys()].join(', ')}, or put a word in quotation marks`
  }
  if (!kind.operators.includes(operator)) {
    return `"${name}" takes ${kind.operators.join(' ')} before its value`
  }
  return value ? kind.parse(operator, value) : `a value is missing, such as ${kind.example}`
}

/**
 * @param {string} said
 * @param {string} word
 * @returns {Parsed | string}
 */
function wordOf(said, word) {
  if (!word || said === '-') return 'a word is missing'
  const lower = word.toLowerCase()
  return { holds: ({ target }) => readable(target).toLowerCase().includes(lower) }
}

/**
 * @typedef {object} Kind
 * @property {string[]} operators
 * @property {string} example
 * @property {(operator: string, value: string) => Parsed | string} parse
 */

const comparisons = ['=', '!=', '>', '>=', '<', '<=']
const outcomes = ['done', 'failed', 'timed_out', 'abandoned']

/** @type {Map<string, Kind>} */
const kinds = new Map([
  ['status', { operators: comparisons, example: 'status>=500', parse: status }],
  ['method', { operators: ['=', '!='], example: 'method=POST', parse: method }],
  ['path', { operators: ['=', '!=', '^=', '~='], example: 'path^=/hook', parse: path }],
  ['code', { operators: ['=', '!='], example: 'code=no_handler', parse: code }],
  ['outcome', { operators: ['=', '!='], example: 'outcome=failed', parse: outcome }],
  [
    'trace',
    { operators: ['=', '!='], example: 'trace=0af7651916cd43dd8448eb211c80319c', parse: trace },
  ],
  ['ms', { operators: comparisons, example: 'ms>100', parse: number((r) => r.doneMs) }],
  ['bytes', { operators: comparisons, example: 'bytes>1024', parse: number(bytesOf) }],
  ['is', { operators: [':'], example: 'is:replay', parse: is }],
  ['content', { operators: [':'], example: 'content:"some words"', parse: content }],
])

/** @type {Kind['parse']} */
function status(operator, value) {
  if (/^[1-9]xx$/i.test(value)) {
    if (!/^!?=$/.test(operator)) return `a class such as ${short(value)} takes = or !=`
    const first = Number(value[0])
    const holds = equal(operator, (r) => Math.floor((r.status ?? 0) / 100) === first)
    return { holds, param: sent(operator, 'status', value.toLowerCase()) }
  }
  if (!/^[1-9]\d\d$/.test(value)) {
    return 'a status is three digits such as 404, or a class such as 5xx'
  }
  const { holds } = compare(operator, Number(value), (r) => r.status)
  return { holds, param: sent(operator, 'status', value) }
}

/** @type {Kind['parse']} */
function method(operator, value) {
  const upper = value.toUpperCase()
  const holds = equal(operator, (r) => r.method.toUpperCase() === upper)
  return { holds, param: sent(operator, 'method', upper) }
}

/** @type {Kind['parse']} */
function path(operator, value) {
  const target = (/** @type {Recorded} */ r) => readable(r.target)
  if (operator === '~=') return { holds: (r) => target(r).includes(value) }
  if (operator === '^=') {
    return { holds: (r) => target(r).startsWith(value), param: ['path', value] }
  }
  // Equal to the whole target, or to the target without its query. Either begins so.
  const same = equal(operator, (r) => target(r) === value || target(r).split('?', 1)[0] === value)
  return { holds: same, param: sent(operator, 'path', value) }
}

/** @type {Kind['parse']} */
function code(operator, value) {
  return {
    holds: equal(operator, (r) => r.code === value),
    param: sent(operator, 'code', value),
  }
}

/** @type {Kind['parse']} */
function outcome(operator, value) {
  if (!outcomes.includes(value)) return `an outcome is one of ${outcomes.join(', ')}`
  return { holds: equal(operator, (r) => r.outcome === value) }
}

/** @type {Kind['parse']} */
function trace(operator, value) {
  return { holds: equal(operator, (r) => traceOf(r) === value.toLowerCase()) }
}

/**
 * Returns the id of the trace that an exchange belongs to.
 * @param {Recorded} recorded
 */
export const traceOf = ({ trace }) => trace?.traceparent.split('-')[1]

/** @type {Kind['parse']} */
function is(_, value) {
  switch (value.toLowerCase()) {
    case 'replay':
      return { holds: (r) => r.replayOf !== undefined }
    case 'websocket':
      return { holds: (r) => r.upgrade?.toLowerCase() === 'websocket' }
    case 'open':
      return { holds: (r) => r.state !== 'ended' }
  }
  return 'is: takes replay, websocket or open'
}

/** @type {Kind['parse']} */
function content(_, value) {
  return { holds: () => true, param: ['content', value] }
}

/**
 * @param {(recorded: Recorded) => number | undefined} of
 * @returns {Kind['parse']}
 */
function number(of) {
  return (operator, value) =>
    /^\d{1,15}(\.\d{1,6})?$/.test(value)
      ? compare(operator, Number(value), of)
      : 'the value is a number, without a unit'
}

/** @param {Recorded} recorded */
function bytesOf({ requestBytes, responseBytes }) {
  return requestBytes + responseBytes
}

/**
 * Compares a number. A recording without the number yet passes only !=.
 * @param {string} operator
 * @param {number} value
 * @param {(recorded: Recorded) => number | undefined} of
 * @returns {Parsed}
 */
function compare(operator, value, of) {
  const has = (/** @type {Recorded} */ r) => of(r) ?? NaN
  switch (operator) {
    case '>':
      return { holds: (r) => has(r) > value }
    case '>=':
      return { holds: (r) => has(r) >= value }
    case '<':
      return { holds: (r) => has(r) < value }
    case '<=':
      return { holds: (r) => has(r) <= value }
  }
  return { holds: equal(operator, (r) => has(r) === value) }
}

/**
 * @param {string} operator = or !=
 * @param {Parsed['holds']} holds
 * @returns {Parsed['holds']}
 */
function equal(operator, holds) {
  return operator === '=' ? holds : (recorded) => !holds(recorded)
}

/**
 * @param {string} operator
 * @param {string} name
 * @param {string} value
 * @returns {Parsed['param']}
 */
function sent(operator, name, value) {
  return operator === '=' ? [name, value] : undefined
}

/** @param {string} text */
function short(text) {
  return text.length > mostSaid ? `${text.slice(0, mostSaid)}…` : text
}

/** @param {string} said */
function quoted(said) {
  return `“${short(said)}”`
}
