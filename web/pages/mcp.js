/** An MCP server in a tab: agents read and change the board that the user sees. */
import { Board } from './board.js'
import { claimPanel } from './claim-panel.js'
import { button, by, make, say } from './element.js'
import { keep, recall } from './kept.js'
import { later } from './later.js'
import { Pulse } from './pulse.js'
import { Questions } from './questions.js'

/** @typedef {import('./board-tools.js').Tool} Tool */

const timeoutMs = 600_000
const mostCalls = 50
const title = document.title
const pulse = new Pulse()
const board = new Board(draw, recall('mcp board'))
/** @type {Map<string, HTMLElement>} the cards of waiting calls, by question */
const cards = new Map()
const questions = new Questions((question) => {
  if (question.state === 'waiting') add(question)
  else remove(question)
})

// Loaded at once, since nothing else can answer.
const mcp = later(async () => {
  const [sdk, { boardMcp }, { CallQuestions }] = await Promise.all([
    import('/vendor/mcp.js'),
    import('./board-tools.js'),
    import('./mcp-question.js'),
  ])
  const calls = new CallQuestions(questions, pulse)
  return boardMcp(sdk, pulse, board, {
    takeBack: calls.takeBack,
    ended: note,
    allow: async (tool, args, info, mcpReq) => {
      if (!mustAsk(tool)) return ''
      const text = `${tool.name} ${JSON.stringify(args)}\n${noteOf(args)}`
      const ended = await calls.ask({ text, options: ['allow'] }, info, mcpReq)
      if (!ended) return 'Too many calls wait for the person already, or you call too often.'
      return refusals[ended.state] ?? ''
    },
  })
})
mcp.load().catch(() => {})

/** @type {Record<string, string>} the answers to calls that the user did not allow */
const refusals = {
  declined: 'The person did not allow this call.',
  expired: 'The person did not decide on this call in time.',
  left: 'The call was withdrawn.',
  lost: 'The person closed the page.',
}

claimPanel({
  page: 'mcp',
  timeoutMs,
  curl: (url) => `claude mcp add --transport http board '${url}mcp'`,
  heard: pulse.beat,
  handler: (request, info) => {
    const { pathname } = new URL(request.url)
    if (pathname === '/mcp') return mcp(request, info)
    const text = `An MCP server answers at ${info.base}mcp\n`
    return new Response(text, { status: pathname === '/' ? 200 : 404 })
  },
  claimed: ({ url }) => say(by('mcp-url'), `${url}mcp`),
  released: () => questions.close(),
})
by('share').remove()
pulse.listen(() => questions.waiting())

const approve = by('approve')
approve.value = recall('mcp approve') ?? 'none'
approve.addEventListener('change', () => keep('mcp approve', approve.value))
by('add-form').addEventListener('submit', (/** @type {Event} */ e) => {
  e.preventDefault()
  const text = by('new-note').value.trim()
  if (text && change(() => board.add(text))) by('new-note').value = ''
})
draw()

/** @param {Tool} tool */
function mustAsk(tool) {
  return approve.value === 'all' || (approve.value === 'changes' && !tool.reads)
}

/**
 * Returns the text of the note that a call is about, since its number means nothing to the user.
 * @param {{ id?: number }} args
 */
function noteOf({ id }) {
  return board.state.notes.find((note) => note.id === id)?.text ?? ''
}

/**
 * Makes a change of the user's own, and reports whether it was possible.
 * @param {() => void} how
 */
function change(how) {
  try {
    how()
    say(by('board-error'), '')
    return true
  } catch (e) {
    say(by('board-error'), /** @type {Error} */ (e).message)
    return false
  }
}

/** @param {number} [changed] the new or changed note */
function draw(changed) {
  const { title, color, notes } = board.state
  keep('mcp board', `${board}`)
  by('board').dataset.color = color
  say(by('board-title'), title)
  const focused = document.activeElement?.closest('#notes li')?.getAttribute('data-id')
  by('notes').replaceChildren(
    ...notes.map(({ id, text, done }) => {
      const box = make('input', { type: 'checkbox' })
      box.checked = done
      box.addEventListener('change', () => change(() => board.change(id, { done: box.checked })))
      return make(
        'li',
        { 'data-id': id, 'data-done': done, class: id === changed ? 'changed' : '' },
        make('label', { class: 'inline' }, box, make('span', {}, text)),
        button({ class: 'quiet', 'aria-label': `Remove ${text}` }, '×', () => {
          change(() => board.remove(id))
          by('new-note').focus()
        }),
      )
    }),
  )
  // The elements are new, so focus returns to the same place.
  if (focused) by('notes').querySelector(`[data-id="${focused}"] input`)?.focus()
}

/** @param {import('./questions.js').Question} question */
function add({ id, text, from, address }) {
  const [call, ...about] = text.split('\n')
  const [name, ...args] = call.split(' ')
  const card = make(
    'li',
    { class: 'call', 'data-id': id },
    make('p', { class: 'who' }, make('bdi', {}, from), ` (${address}) calls`),
    make('p', {}, make('code', {}, name), ' ', make('code', { class: 'args' }, args.join(' '))),
    make('p', { class: 'about' }, about.join('\n')),
    make(
      'p',
      { class: 'row' },
      button({ class: 'primary' }, 'Allow', () => questions.end(id, 'answered', 'allow')),
      button({}, 'Refuse', () => questions.end(id, 'declined')),
    ),
  )
  cards.set(id, card)
  by('waiting').append(card)
  count()
}

/** @param {import('./questions.js').Question} question */
function remove({ id }) {
  const card = cards.get(id)
  const focused = card?.contains(document.activeElement)
  card?.remove()
  cards.delete(id)
  if (focused) (by('waiting').querySelector('button') ?? approve).focus()
  count()
}

function count() {
  document.title = cards.size ? `(${cards.size}) ${title}` : title
}

/**
 * Lists a call that ended.
 * @param {Tool} tool
 * @param {object} args
 * @param {string} who
 * @param {{ text: string, isError: boolean }} result
 */
function note({ name, reads }, args, who, { text, isError }) {
  by('no-calls').hidden = true
  const given = JSON.stringify(args)
  const entry = make(
    'li',
    { 'data-end': isError ? 'failed' : 'done' },
    make('code', {}, name),
    given === '{}' ? '' : make('code', { class: 'args' }, given),
    make('span', { class: 'result' }, isError ? `✕ ${text}` : reads ? '✓ read' : `✓ ${text}`),
    make('small', {}, make('bdi', {}, who), `, ${new Date().toLocaleTimeString()}`),
  )
  by('calls').prepend(entry)
  by('calls').children[mostCalls]?.remove()
}
