/** File share: visitors download files from this tab that the user drops into it. */
import { serveFile } from '/sdk/files.js'
import { Access, newPassword } from './access.js'
import { claimPanel } from './claim-panel.js'
import { bytesInWords } from './content.js'
import { copyText } from './copy.js'
import { chosenFiles, droppedFiles } from './dropped.js'
import { button, by, make, say } from './element.js'
import { filesHandler } from './files-handler.js'
import { keep, recall } from './kept.js'
import { mostFiles, SharedFiles, urlPath } from './shared-files.js'
import { Transfers } from './transfers.js'

/** @typedef {import('./transfers.js').Transfer} Transfer */

const mostRows = 200
const keptAt = 'files count'
/** @type {import('/sdk.js').Claim | undefined} */
let claim
let drawing = false
/** @type {Map<number, { item: HTMLElement, bar: HTMLProgressElement, said: HTMLElement }>} */
const rows = new Map()

const files = new SharedFiles(drawFiles)
const transfers = new Transfers(() => {
  // Once a frame, however many parts were sent.
  if (drawing) return
  drawing = true
  requestAnimationFrame(drawTransfers)
})
const access = new Access()

claimPanel({
  page: 'files',
  inspect: false,
  policy: access.policy,
  handler: filesHandler(files, transfers, serveFile, () => import('/vendor/client-zip.js')),
  curl: (url) => `curl -OJ '${url}all.zip'`,
  claimed: (made) => {
    claim = made
    drawAccess()
  },
  released: () => {
    claim = undefined
    drawAccess()
  },
})

// Files

const before = Number(recall(keptAt))
if (before) {
  const files = before === 1 ? 'a file' : `${before} files`
  say(by('files-note'), `A page keeps no files when it is loaded again. This one had ${files}.`)
  keep(keptAt, null)
}
by('choose-files').addEventListener('click', () => by('files').click())
by('choose-folder').addEventListener('click', () => by('folder').click())
for (const input of [by('files'), by('folder')]) {
  input.addEventListener('change', () => {
    add(chosenFiles(input))
    // So that the same file can be chosen again.
    input.value = ''
  })
}
by('clear').addEventListener('click', () => {
  files.clear()
  by('choose-files').focus()
})
// Anywhere in the page, since a file that misses the frame would otherwise replace the page.
addEventListener('dragover', (e) => {
  e.preventDefault()
  by('drop').classList.add('over')
})
addEventListener('dragleave', (e) => {
  if (!e.relatedTarget) by('drop').classList.remove('over')
})
addEventListener('drop', async (e) => {
  e.preventDefault()
  by('drop').classList.remove('over')
  if (e.dataTransfer) add(await droppedFiles(e.dataTransfer, mostFiles))
})
addEventListener('beforeunload', (e) => {
  if (transfers.running.length) e.preventDefault()
})

/** @param {import('./shared-files.js').Shared[]} some */
function add(some) {
  const left = files.add(some)
  say(by('files-note'), '')
  say(by('files-error'), left ? `${left} left out: a page shares ${mostFiles} files at most.` : '')
}

function drawFiles() {
  const all = files.all
  keep(keptAt, all.length ? `${all.length}` : null)
  by('files-sum').hidden = !all.length
  const count = all.length === 1 ? 'One file' : `${all.length} files`
  say(by('files-count'), `${count}, ${bytesInWords(files.size)}`)
  by('list').replaceChildren(
    ...all.slice(0, mostRows).map(({ path, file }) =>
      make(
        'li',
        {},
        make('bdi', {}, path),
        make('span', { class: 'faint' }, bytesInWords(file.size)),
        button({ class: 'quiet', 'aria-label': `Copy URL of ${path}` }, 'Copy URL', () =>
          copyURL(path),
        ),
        button({ class: 'quiet', 'aria-label': `Remove ${path}` }, 'Remove', () => remove(path)),
      ),
    ),
    ...(all.length > mostRows ? [make('li', {}, `and ${all.length - mostRows} more`)] : []),
  )
}

/** @param {string} path */
function remove(path) {
  files.remove(path)
  // The button is gone, so focus moves to another one.
  ;(by('list').querySelector('button') ?? by('choose-files')).focus()
}

/** @param {string} path */
function copyURL(path) {
  if (claim) void copyText(`${claim.url}files/${urlPath(path)}`)
}

// Who may download

by('access-form').addEventListener('submit', (/** @type {Event} */ e) => {
  e.preventDefault()
  const password = by('password').value.trim()
  if (chosen() === 'password' && password) void change('password', password)
})
by('access-form').addEventListener('change', (/** @type {Event} */ e) => {
  if (/** @type {any} */ (e.target).name !== 'mode') return
  const mode = chosen()
  by('password-row').hidden = mode !== 'password'
  if (mode !== 'password') return void change(mode, '')
  // Applies at once, since the user chose that the URL alone admits nobody.
  by('password').value = access.password || newPassword()
  void change('password', by('password').value)
})
by('link').addEventListener('click', async () => {
  if (!claim) return
  say(by('access-error'), '')
  try {
    by('one-link').value = await access.link(claim)
    by('link-shown').hidden = false
    say(by('access-note'), (await copyText(by('one-link').value)) ? 'The link is copied.' : '')
  } catch (e) {
    say(by('access-error'), `No link: ${/** @type {Error} */ (e).message}`)
  }
})

/** @returns {import('./access.js').Mode} */
function chosen() {
  return by('access-form').elements.mode.value
}

/**
 * @param {import('./access.js').Mode} mode
 * @param {string} password
 */
async function change(mode, password) {
  if (!claim) return drawAccess()
  say(by('access-error'), '')
  say(by('access-note'), '')
  let failed = ''
  try {
    await access.change(claim, { mode, password })
  } catch (e) {
    failed = `Not changed: ${/** @type {Error} */ (e).message}`
  }
  drawAccess()
  say(by('access-error'), failed)
  if (!failed) say(by('access-note'), words[mode])
}

const words = {
  anyone: 'Anyone with the URL can download.',
  password: 'The gateway asks for the password from now on.',
  links: 'The URL alone no longer admits anyone.',
}

/** Shows the access in force, whatever is chosen in the form. */
function drawAccess() {
  // In the path shape claims share an origin, so browsers would send the password to all of them.
  const shares = !!claim && new URL(claim.url).origin === location.origin
  by('access-form').elements.mode.value = access.mode
  for (const radio of by('access-form').elements.mode) {
    radio.disabled = !claim || (shares && radio.value !== 'anyone')
  }
  by('password-row').hidden = access.mode !== 'password'
  by('password').value = access.password
  by('link-row').hidden = access.mode === 'anyone' || !claim
  by('link-shown').hidden = true
  if (shares) {
    const why =
      'Claims of this gateway share one origin, so browsers would send the password to all of them. There are no passwords here.'
    say(by('access-note'), why)
  }
}

// Downloads

function drawTransfers() {
  drawing = false
  const all = transfers.all
  by('transfers-section').hidden = !all.length
  for (const [id, { item }] of rows) {
    if (all.some((transfer) => transfer.id === id)) continue
    item.remove()
    rows.delete(id)
  }
  for (const transfer of all.toReversed()) {
    const { bar, said } = rows.get(transfer.id) ?? rowOf(transfer)
    bar.value = transfer.bytes ? transfer.sent / transfer.bytes : 1
    say(said, progress(transfer))
    bar.closest('li')?.setAttribute('data-end', transfer.state)
  }
}

/** @param {Transfer} transfer */
function rowOf({ id, name, address, from }) {
  const bar = make('progress', { max: 1, value: 0, 'aria-label': `Download of ${name}` })
  const said = make('span', { class: 'faint' })
  const who = `${address}${from ? `, from ${bytesInWords(from)} on` : ''}`
  const item = make('li', {}, make('bdi', {}, name), make('small', {}, who), bar, said)
  by('transfers').prepend(item)
  const row = { item, bar, said }
  rows.set(id, row)
  return row
}

/** @param {Transfer} transfer */
function progress({ state, sent, bytes }) {
  const so = `${bytesInWords(sent)} of ${bytesInWords(bytes)}`
  if (state === 'done') return `${bytesInWords(bytes)}, all sent`
  if (state === 'left') return `${so}, then the visitor left`
  if (state === 'failed')
    return `${so}, then it failed: the file has changed, or the URL was let go`
  return `${so}, ${Math.floor((sent / bytes) * 100)} %`
}
