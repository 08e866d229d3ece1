/** Opens one exchange in the pane beside the list: fetches its recording, draws it, and acts on it. */
import { messageOf } from './content-views.js'
import { by, element } from './element.js'
import { exchangeDetail, requestOf } from './exchange-detail.js'
import { recordingOf } from './recordings.js'
import { editAndResend, resend } from './resend.js'
import { toHash } from './route.js'
import { toast } from './toast.js'

/**
 * @param {object} of
 * @param {import('./recordings.js').At} of.at
 * @param {string} of.id
 * @param {import('./exchange-store.js').ExchangeStore} of.store
 * @param {() => boolean} of.still whether it is still what is to be seen
 * @param {boolean} of.focus
 * @param {boolean} of.made whether it was made a moment ago, and may not be listed yet
 * @param {(id: string) => void} of.open
 * @param {(recording: import('./recordings.js').Recording) => void} [of.opened]
 * @param {(id: string) => Promise<import('./recordings.js').Recording | undefined>} [of.stored] what the page has kept
 * @param {boolean} [of.away] whether the gateway has not got it
 */
export async function openExchange({
  at,
  id,
  store,
  still,
  focus,
  made,
  open,
  opened,
  stored,
  away,
}) {
  const row = store.get(id)
  /** @type {import('./recordings.js').Recording | undefined} */
  let recording
  try {
    // What the gateway has dropped for sure is not asked for.
    if (row ? !away && store.kept(id) : made) recording = await recordingOf(at, id)
  } catch (e) {
    if (still()) toast(/** @type {Error} */ (e).message)
    return
  }
  recording ??= await stored?.(id).catch(() => undefined)
  if (!still()) return
  const recorded = recording?.exchange ?? row?.recorded
  if (!recorded) return missing()
  if (!row) store.upsert(recorded)
  if (recording) opened?.(recording)
  const [request, answer] = await Promise.all([
    recording && messageOf(`request-${id}`, recording.request, !!recorded.requestCut),
    recording?.response && messageOf(`answer-${id}`, recording.response, !!recorded.responseCut),
  ])
  if (!still()) return
  const marks = store.get(id)?.marks ?? []
  const acts = {
    open,
    resend: () => act(() => resend(at, /** @type {any} */ (recording))),
    edit: () =>
      editAndResend(at, /** @type {any} */ (recording), (id) => {
        toast('Sent again.')
        open(id)
      }),
    copy: async (/** @type {string} */ kind) => {
      if (kind === 'link') return new URL(toHash({ id, filter: '' }), location.href).href
      const { copyAs } = await import('./copy-as.js')
      return copyAs(/** @type {any} */ (kind), requestOf(/** @type {any} */ (recording)))
    },
  }
  draw(
    exchangeDetail({ recorded, recording, request, answer, marks, mayAct: !at.viewer }, acts),
    focus,
  )

  /** @param {() => Promise<string>} send */
  async function act(send) {
    try {
      const id = await send()
      toast('Sent again.')
      open(id)
    } catch (e) {
      toast(`Not sent: ${/** @type {Error} */ (e).message}`)
    }
  }
}

/**
 * Puts a detail in its place. The keyboard stays where it was.
 * @param {HTMLElement} detail
 * @param {boolean} focus
 */
function draw(detail, focus) {
  const pane = by('exchange')
  const within = pane.contains(document.activeElement)
  const at = within ? document.activeElement?.id : ''
  const { scrollTop } = pane
  pane.replaceChildren(detail)
  if (focus || (within && !(at && by(at)))) by('detail-title').focus({ preventScroll: true })
  else if (at) by(at).focus({ preventScroll: true })
  if (within && !focus) pane.scrollTop = scrollTop
}

function missing() {
  by('exchange').replaceChildren(
    element(
      'div',
      'empty',
      element('p', 'empty-title', 'This exchange is not here'),
      element('p', 'faint', 'A gateway keeps the newest 200 exchanges of a claim, while it lives.'),
    ),
  )
}
