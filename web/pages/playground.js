/** The playground: claim a label, edit the handler, see each exchange as it happens. */
import { codeOf, hasCode, toFragment } from './code-link.js'
import { copyText } from './copy.js'
import { editorOf } from './editor.js'
import { by, element, say } from './element.js'
import { Runner } from './handler-runner.js'
import { keep, recall } from './kept.js'
import { templates } from './templates.js'
import { toast } from './toast.js'
import { workbench } from './workbench.js'

const runner = new Runner(complain, (is) => {
  const text =
    'The handler hangs: it has not returned for 2 seconds, perhaps because of an endless loop. Visitors get 503 busy.'
  say(by('hangs'), is ? text : '')
  // The button is gone, so focus moves to the editor.
  if (!is && document.activeElement === by('restart')) editor.focus()
  by('hangs-row').hidden = !is
})

// Stored in this tab for a reload, once it was applied. A link brings code too, which runs only when the user
// applies it; see policy.go.
by('code').value = recall('playground code') ?? by('code').value
const editor = editorOf(by('code'), by('code-label'), changed, apply)
const choice = by('template')
/** Returns the command that the page shows, given the URL. */
let tryIt = (/** @type {string} */ url) => `curl -i '${url}any/path?x=1' -d 'some content'`
choice.append(element('option', '', 'Templates…'))
for (const name of Object.keys(templates)) choice.append(element('option', '', name))
choice.addEventListener('change', () => {
  const chosen = templates[choice.value]
  choice.selectedIndex = 0
  if (!chosen) return
  bring(chosen.code, '')
  tryIt = chosen.curl
  say(by('curl'), tryIt(by('url').href))
})
by('link').addEventListener('click', async () => {
  try {
    const link = new URL(location.pathname + (await toFragment(editor.text)), location.href)
    if (await copyText(link.href))
      toast('The link is copied. It contains the code, but no exchanges.')
  } catch (e) {
    toast(`No link: ${/** @type {Error} */ (e).message}`)
  }
})
by('apply').addEventListener('click', apply)
by('restart').addEventListener('click', restart)

function changed() {
  say(by('applied'), 'changed, not applied: the earlier code still answers')
}

/**
 * Puts code into the editor without running it.
 * @param {string} code
 * @param {string} from where it is from, in words
 */
function bring(code, from) {
  editor.text = code
  say(by('brought'), from)
  changed()
}

/** Moves the code of a link from the address into the editor. */
async function takeLink() {
  const { hash } = location
  if (!hasCode(hash)) return
  history.replaceState(null, '', location.pathname)
  try {
    const words =
      'A link brought this code. Read it first: it answers at your URL once you apply it.'
    bring(await codeOf(hash), words)
  } catch (e) {
    complain(/** @type {Error} */ (e).message)
  }
}

async function apply() {
  const { text } = editor
  keep('playground code', text)
  say(by('brought'), '')
  complain('')
  try {
    await runner.apply(text)
    if (editor.text === text) say(by('applied'), `applied at ${new Date().toLocaleTimeString()}`)
  } catch (e) {
    complain(/** @type {Error} */ (e).message)
    say(by('applied'), runner.ready ? 'not applied: the earlier code still answers' : 'not applied')
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

// Visitors are admitted once there is code to answer them, right or wrong.
await apply()
await takeLink()
addEventListener('hashchange', takeLink)
workbench({
  page: 'playground',
  own: 'Handler',
  first: 'own',
  curl: (url) => tryIt(url),
  handler: (request, info) => runner.handle(request, info),
  failed: complain,
})
