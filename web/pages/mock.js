/** Mock API: MSW handlers and a Hono app, edited in the page, answer as a server would. */
import { editorOf } from './editor.js'
import { by, say } from './element.js'
import { Runner } from './handler-runner.js'
import { keep, recall } from './kept.js'
import { withCORS } from './cors.js'
import { libraries } from './worker-libraries.js'
import { workbench } from './workbench.js'

// In addition to the libraries of the playground, code may import MSW.
libraries.msw = '/vendor/msw.js'
const runner = new Runner(complain, hangs, ['/mock-worker.js'])

// Stored in this tab for a reload. Nothing else brings code in here; see policy.go.
by('code').value = recall('mock code') ?? by('code').value
const editor = editorOf(by('code'), by('code-label'), changed, apply)
by('cors').checked = recall('mock cors') !== 'no'
by('cors').addEventListener('change', () => keep('mock cors', by('cors').checked ? null : 'no'))
by('apply').addEventListener('click', apply)
by('restart').addEventListener('click', async () => {
  complain('')
  await runner.restart().catch((e) => complain(e.message))
})

function changed() {
  say(by('applied'), 'changed, not applied: the earlier code still answers')
}

async function apply() {
  const { text } = editor
  keep('mock code', text)
  complain('')
  try {
    await runner.apply(text)
    if (editor.text === text) say(by('applied'), `applied at ${new Date().toLocaleTimeString()}`)
  } catch (e) {
    complain(/** @type {Error} */ (e).message)
    say(by('applied'), runner.ready ? 'not applied: the earlier code still answers' : 'not applied')
  }
}

/** @param {boolean} is */
function hangs(is) {
  const text = 'The code hangs: it has not returned for 2 seconds. Visitors get 503 busy.'
  say(by('hangs'), is ? text : '')
  // The button is gone, so focus moves to the editor.
  if (!is && document.activeElement === by('restart')) editor.focus()
  by('hangs-row').hidden = !is
}

/** @param {string} message */
function complain(message) {
  say(by('code-error'), message)
}

// Visitors are admitted once there is code to answer them, right or wrong.
await apply()
workbench({
  page: 'mock',
  own: 'Mock',
  first: 'own',
  curl: (url) => `curl -i '${url}users/1'`,
  handler: withCORS(
    (request, info) => runner.handle(request, info),
    () => by('cors').checked,
  ),
  failed: complain,
})
