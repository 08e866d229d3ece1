/** One exchange in full: its course in time, and its request and answer side by side. */
import { bytesInWords, contentOf } from './content.js'
import { mostDrawn, viewsOf } from './content-views.js'
import { copyMenu } from './copy-menu.js'
import { button, element, make, say } from './element.js'
import { statusOf } from './exchange-list.js'
import { readable } from './field.js'
import { traceOf } from './filter.js'
import { fieldTable, secretValue, table } from './field-table.js'
import { frames, pieces } from './frames.js'
import { isSecret, maskTarget, maskValue } from './mask.js'
import { parseForm } from './multipart.js'
import { tabbed } from './tabs.js'
import { timing } from './timing.js'

/** The tabs chosen last, with which the next exchange opens. */
const chosen = { request: '', answer: '' }

/**
 * @typedef {object} Detail
 * @property {import('./recordings.js').Recorded} recorded
 * @property {readonly import('./exchange-store.js').Mark[]} marks
 * @property {import('./recordings.js').Recording} [recording] absent where the gateway has it no more
 * @property {import('./content-views.js').Message} [request]
 * @property {import('./content-views.js').Message} [answer]
 * @property {boolean} mayAct whether the page may resend
 *
 * @typedef {object} Actions
 * @property {() => void} resend
 * @property {() => void} edit
 * @property {(id: string) => void} open
 * @property {(kind: string) => Promise<string>} copy
 */

/**
 * @param {Detail} detail
 * @param {Actions} actions
 * @returns {HTMLElement}
 */
export function exchangeDetail(detail, actions) {
  const { recorded, recording, marks } = detail
  const made = element('article', 'detail', head(detail, actions), timing(recorded))
  made.append(facts(detail, actions))
  if (marks.some(({ title }) => title)) {
    const lines = marks.map(({ is, text, title }) => {
      const line = element('li', 'signature', `${text}. ${title ?? ''}`)
      line.dataset.is = is
      return line
    })
    made.append(make('ul', { class: 'checks', 'aria-label': 'Signatures' }, ...lines))
  }
  if (!recording) {
    const why = 'The gateway no longer has this recording; the list still has this.'
    made.append(element('p', 'faint gone', why))
    return made
  }
  if (recording.parts.some(({ opcode }) => opcode)) made.append(frames(recording))
  const sides = element('div', 'sides', side('request', detail))
  sides.append(detail.answer ? side('answer', detail) : noAnswer(recorded))
  made.append(sides)
  return made
}

/**
 * @param {Detail} detail
 * @param {Actions} actions
 */
function head({ recorded, recording, mayAct }, { resend, edit, copy }) {
  const { method, target, status, outcome, state, upgrade } = recorded
  const verb = element('span', 'method', method)
  verb.dataset.method = upgrade === 'websocket' ? 'WS' : method
  const result = element('span', 'outcome', statusOf(status, outcome, state))
  result.dataset.class = status ? `${Math.floor(status / 100)}` : (outcome ?? 'open')
  const shown = maskTarget(readable(target))
  const path = element('span', 'path', shown)
  const title = make('h2', { id: 'detail-title', tabindex: '-1' }, verb, ' ', path, ' ', result)
  const disabled = !recording || !!upgrade || !mayAct
  const why = !mayAct
    ? 'Only the owner of the claim resends'
    : upgrade
      ? 'A WebSocket is not resent'
      : undefined
  const actions = element(
    'div',
    'row actions',
    button({ id: 'resend', disabled, title: why, class: 'primary' }, 'Resend', resend),
    button({ id: 'edit', disabled, title: why }, 'Edit…', edit),
    copyMenu(copy, !recording),
  )
  return element('header', 'detail-head', title, actions)
}

/**
 * @param {Detail} detail
 * @param {Actions} actions
 */
function facts({ recorded, recording }, { open }) {
  const { remoteAddr, httpVersion, session, attempt, handed, outcome, code } = recorded
  const { requestBytes, responseBytes, requestCut, responseCut, replayOf } = recorded
  const trace = traceOf(recorded)
  const sizes = `${bytesInWords(requestBytes)}${requestCut ? ' (cut)' : ''} → ${bytesInWords(
    responseBytes,
  )}${responseCut ? ' (cut)' : ''}`
  /** @type {[string, string | Node][]} */
  const pairs = [
    ['Received', new Date(recorded.receivedAt).toLocaleString()],
    ['Visitor', `${remoteAddr} · HTTP/${httpVersion}`],
    ['Content', sizes],
    ['Session', session ? `${session.slice(0, 8)} · attempt ${attempt}` : 'none had it'],
    ['Handler had it', handed === undefined ? 'unknown' : handed ? 'yes' : 'no'],
    ['Outcome', [outcome?.replace('_', ' ') ?? recorded.state, code].filter(Boolean).join(' · ')],
  ]
  if (trace) pairs.push(['Trace', trace])
  if (replayOf) {
    pairs.push(['Resent from', button({ class: 'link' }, replayOf, () => open(replayOf))])
  }
  const list = element('dl', 'facts')
  for (const [name, value] of pairs) {
    list.append(element('div', '', element('dt', '', name), element('dd', '', value)))
  }
  const more = recording ? [...deliveries(recording), ...interims(recording)] : []
  return element('div', '', list, ...more)
}

/** @param {import('./recordings.js').Recording} recording */
function deliveries({ deliveries }) {
  if (deliveries.length < 2) return []
  const rows = deliveries.map(({ atMs, session, attempt }) =>
    element('li', '', `attempt ${attempt} at ${atMs} ms, to session ${session.slice(0, 8)}`),
  )
  return [make('ol', { class: 'small-list', 'aria-label': 'Deliveries' }, ...rows)]
}

/** @param {import('./recordings.js').Recording} recording */
function interims({ interims }) {
  return interims.map(({ atMs, status, headers }) =>
    element(
      'details',
      'interim',
      element('summary', '', `${status} at ${atMs} ms, ${headers.length} fields`),
      fieldTable(`Fields of ${status}`, headers),
    ),
  )
}

/**
 * @param {'request' | 'answer'} which
 * @param {Detail} detail
 */
function side(which, { recorded, recording, request, answer }) {
  const of = which === 'request' ? recording?.request : recording?.response
  const message = /** @type {import('./content-views.js').Message} */ (
    which === 'request' ? request : answer
  )
  const { headers, trailers } =
    /** @type {import('../../sdk-js/src/envelope.js').RecordedMessage} */ (of)
  // A WebSocket sends frames.
  const views = recorded.upgrade && recorded.status === 101 ? [] : viewsOf(message)
  const from = which === 'request' ? 'visitor' : 'handler'
  const streamed = recording?.parts.filter((p) => p.from === from && !p.opcode) ?? []
  /** @type {import('./tabs.js').Tab[]} */
  const tabs = [
    {
      name: 'Fields',
      note: `${headers.length}`,
      render: () => {
        const made = element('div', '', ...(which === 'request' ? query(recorded.target) : []))
        made.append(fieldTable(`Fields of the ${which}`, headers))
        if (trailers?.length) {
          made.append(element('h4', '', 'Trailers'), fieldTable('Trailers', trailers))
        }
        return made
      },
    },
    ...views,
    { name: 'Raw', render: () => raw(which, recorded, headers, message) },
  ]
  if (streamed.length > 1) {
    tabs.push({ name: 'Stream', note: `${streamed.length}`, render: () => pieces(streamed) })
  }
  const first = tabs.some(({ name }) => name === chosen[which]) ? chosen[which] : views[0]?.name
  const { list, panel } = tabbed(which, `The ${which}`, tabs, first ?? 'Fields', (name) => {
    chosen[which] = name
  })
  const title = which === 'request' ? 'Request' : 'Answer'
  return element(
    'section',
    'side',
    element('div', 'side-head', element('h3', '', title), list),
    panel,
  )
}

/** @param {string} target */
function query(target) {
  const at = target.indexOf('?')
  if (at < 0) return []
  const pairs = parseForm(target.slice(at + 1)).map(
    ([name, value]) =>
      /** @type {[string, string | Node]} */ ([
        name,
        isSecret(name) ? secretValue(name, value) : value,
      ]),
  )
  return [table('Query', pairs), element('h4', '', 'Fields')]
}

/** @param {import('./recordings.js').Recorded} recorded */
function noAnswer({ state, code, status }) {
  const why =
    state !== 'ended'
      ? 'The handler has not answered yet.'
      : code
        ? `The handler gave no answer: the gateway told the visitor ${status ?? ''} ${code}.`
        : 'There is no answer: the visitor left.'
  const head = element('div', 'side-head', element('h3', '', 'Answer'))
  return element('section', 'side', head, element('p', 'faint panel', why))
}

/**
 * @param {'request' | 'answer'} which
 * @param {import('./recordings.js').Recorded} recorded
 * @param {readonly (readonly [string, string])[]} headers
 * @param {import('./content-views.js').Message} message
 */
function raw(which, { method, target, httpVersion, status }, headers, { bytes }) {
  const pre = element('pre', 'text')
  const draw = (/** @type {boolean} */ secrets) => {
    const line =
      which === 'request'
        ? `${method} ${readable(secrets ? target : maskTarget(target))} HTTP/${httpVersion}`
        : `HTTP/${httpVersion} ${status}`
    const fields = headers.map(
      ([name, value]) => `${name}: ${readable(secrets ? value : maskValue(name, value))}`,
    )
    const content = new TextDecoder().decode(bytes.subarray(0, mostDrawn / 4))
    const rest = bytes.length > mostDrawn / 4 ? '\n…' : ''
    say(pre, [line, ...fields, '', content].join('\n') + rest)
  }
  draw(false)
  const secrets = headers.some(([name, value]) => maskValue(name, value) !== value)
  const show = button({ class: 'quiet', 'aria-pressed': 'false' }, 'Show secrets', () => {
    const shown = show.getAttribute('aria-pressed') !== 'true'
    show.setAttribute('aria-pressed', `${shown}`)
    draw(shown)
  })
  return element('div', 'view', ...(secrets ? [element('div', 'content-bar', show)] : []), pre)
}

/**
 * Returns the request in the form that copies are made from.
 * @param {import('./recordings.js').Recording} recording
 * @returns {{ method: string, url: string, headers: [string, string][], content: Uint8Array<ArrayBuffer> }}
 */
export function requestOf({ exchange: { method, url }, request }) {
  const headers = /** @type {[string, string][]} */ ([...request.headers])
  return { method, url, headers, content: contentOf(request) }
}
