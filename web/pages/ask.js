/** Ask me: the person in front of this page answers requests by hand. */
import { readLog, writeLog } from './ask-log.js'
import { Bell } from './bell.js'
import { claimPanel } from './claim-panel.js'
import { offerCopy } from './copy.js'
import { ago, duration } from './duration.js'
import { button, by, make, say } from './element.js'
import { later } from './later.js'
import { Pulse } from './pulse.js'
import { askHandler, Questions } from './questions.js'

/** @typedef {import('./questions.js').Question} Question */

const timeoutMs = 600_000
const longText = 140
const mcpMs = 2_000
const title = document.title
/** @type {Map<string, { item: HTMLElement, left: HTMLElement }>} the cards of waiting questions */
const cards = new Map()
let log = readLog()
/** The URL of the newest claim. */
let at = ''

const bell = new Bell(by('sound'), by('notify'), by('notify-note'))
const questions = new Questions((question) => {
  if (question.state === 'waiting') {
    add(question)
    bell.ring(question.from || question.address, question.text)
  } else {
    remove(question)
  }
  count()
})

const pulse = new Pulse()
const mcp = later(async () => {
  const [sdk, { askMcp }] = await Promise.all([import('/vendor/mcp.js'), import('./ask-mcp.js')])
  return askMcp(sdk, pulse, questions)
})

claimPanel({
  page: 'ask',
  timeoutMs,
  handler: askHandler(questions, mcp),
  heard: pulse.beat,
  curl: (url) => `curl '${url}' -d question='Shall I deploy?' -d option=yes -d option=no`,
  claimed: ({ url }) => {
    say(by('ask-error'), '')
    if (at && url !== at) questions.close()
    at = url
    invite(url)
  },
  released: () => questions.close(),
})
// At once, so that this page still answers the askers, instead of the gateway for a program that is gone.
by('give-up').addEventListener('click', () => questions.close())
by('claim-form').addEventListener('submit', () => {
  // The gateway picks a label only after the earlier one was given up.
  if (!by('label').value.trim()) questions.close()
})
// Its link would show the exchanges to others, and this page shares only the URL.
by('share').remove()
offerCopy(by('copy-add'), () => by('add').textContent)
by('send').hidden = !navigator.share
by('send').addEventListener('click', () => {
  // Rejects if the user changes their mind.
  navigator.share({ title: 'Ask me', text: 'Ask me something:', url: at }).catch(() => {})
})
drawLog()
pulse.listen(tick)
// Before the first agent comes, but after the page is shown.
setTimeout(() => mcp.load().catch(() => {}), mcpMs)
by('clear-log').addEventListener('click', () => {
  log = []
  writeLog(log)
  drawLog()
})

/** @param {string} url */
function invite(url) {
  const qr = by('invite-qr')
  qr.src = `/qr.svg?${new URLSearchParams({ text: url })}`
  qr.alt = `QR code of ${url}`
  say(by('mcp-url'), `${url}mcp`)
  say(by('add'), `claude mcp add --transport http ask-human '${url}mcp'`)
}

/** @param {Question} question */
function add(question) {
  const { id, text, options, from, address, later } = question
  const who = from ? [make('bdi', {}, from), ` (${address})`] : [address]
  const left = make('span', { class: 'left' })
  const area = make('textarea', {
    rows: 1,
    maxlength: 20_000,
    'aria-label': 'Your answer',
    placeholder: options.length ? 'Or type an answer' : 'Your answer',
  })
  const send = () => area.value.trim() && questions.end(id, 'answered', area.value.trim())
  area.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return
    e.preventDefault()
    send()
  })
  const item = make(
    'li',
    { class: 'question', 'data-id': id },
    make(
      'header',
      {},
      make('span', {}, ...who, ` asks${later ? ', and comes back for the answer' : ', and waits'}`),
      left,
    ),
    make('p', { class: text.length > longText ? 'text long' : 'text' }, text),
    make(
      'div',
      { class: 'choices', hidden: !options.length },
      ...options.map((option) => button({}, option, () => questions.end(id, 'answered', option))),
    ),
    make(
      'div',
      { class: 'typed' },
      area,
      button({ class: options.length ? '' : 'primary' }, 'Answer', send),
      button({ class: 'quiet' }, 'Decline', () => questions.end(id, 'declined')),
    ),
  )
  cards.set(id, { item, left })
  by('questions').append(item)
  tick()
}

/** @param {Question} question */
function remove(question) {
  const card = cards.get(question.id)
  const focused = card?.item.contains(document.activeElement)
  card?.item.remove()
  cards.delete(question.id)
  if (focused) {
    const next = by('questions').querySelector('button, textarea')
    ;(next ?? by('url')).focus()
  }
  log = [
    {
      text: question.text,
      who: question.from ? `${question.from} (${question.address})` : question.address,
      end: /** @type {Exclude<import('./questions.js').State, 'waiting'>} */ (question.state),
      answer: question.answer,
      at: Date.now(),
    },
    ...log,
  ]
  log = writeLog(log)
  drawLog()
}

function count() {
  const waits = cards.size
  by('none').hidden = waits > 0
  document.title = waits ? `(${waits}) ${title}` : title
}

/** Ends questions whose time is over, and shows how long the others can wait. */
function tick() {
  const waiting = questions.waiting()
  for (const { id, expiresAt } of waiting) {
    const left = cards.get(id)?.left
    if (left) say(left, `${duration(Math.max(expiresAt - Date.now(), 0))} left`)
  }
}

const ends = {
  answered: '',
  declined: 'declined',
  left: 'the asker left',
  expired: 'nobody answered in time',
  lost: 'the URL was let go before',
}

function drawLog() {
  by('log-section').hidden = !log.length
  by('log').replaceChildren(
    ...log.map(({ text, who, end, answer, at }) =>
      make(
        'li',
        { 'data-end': end },
        make('span', { class: 'asked' }, text),
        make('span', { class: 'said' }, end === 'answered' ? answer : `– ${ends[end]}`),
        make('small', {}, make('bdi', {}, who), `, ${ago(Date.now() - at)}`),
      ),
    ),
  )
}
