/** The playground: claim a label, edit the handler, see each exchange as it happens. */
import { by, say } from './element.js'
import { Runner } from './handler-runner.js'
import { keep, recall } from './kept.js'
import { workbench } from './workbench.js'

const code = by('code')
const runner = new Runner(complain, (is) => {
  const text =
    'The handler hangs: it has not come back for 2 seconds, from a loop without end perhaps. Visitors get 503 busy.'
  say(by('hangs'), is ? text : '')
  // The button is gone with what it is for, and the keyboard must stand somewhere.
  if (!is && document.activeElement === by('restart')) code.focus()
  by('hangs-row').hidden = !is
})

// Kept in this tab for its reload. Nothing else brings code in here; see policy.go.
code.value = recall('playground code') ?? code.value
code.addEventListener('input', () => {
  say(by('applied'), 'changed, not applied: the code before still answers')
})
code.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
  if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) {
    e.preventDefault()
    void apply()
  }
})
by('apply').addEventListener('click', apply)
by('restart').addEventListener('click', restart)

async function apply() {
  const text = code.value
  keep('playground code', text)
  complain('')
  try {
    await runner.apply(text)
    if (code.value === text) say(by('applied'), `applied at ${new Date().toLocaleTimeString()}`)
  } catch (e) {
    complain(/** @type {Error} */ (e).message)
    say(by('applied'), runner.ready ? 'not applied: the code before still answers' : 'not applied')
  }
}

async function restart() {
  complain('')
  try {
    await runner.restart()
  } catch (e) {
    complain(/** @type {Error} */ (e).message)
  }
}

/** @param {string} message */
function complain(message) {
  say(by('code-error'), message)
}

// Visitors are let in once there is code to answer them, right or wrong.
await apply()
workbench({
  page: 'playground',
  own: 'Handler',
  first: 'own',
  curl: (url) => `curl -i '${url}any/path?x=1' -d 'some content'`,
  handler: (request, info) => runner.handle(request, info),
  failed: complain,
})
