/** The answer that a page sends, as chosen in its form and stored for a reload. */
import { by, say } from './element.js'
import { keep, recall } from './kept.js'

const ids = ['status', 'content-type', 'body', 'delay']
const withoutContent = [204, 205, 304]

/**
 * Wires the form, and returns the handler that answers with its content.
 * @param {string} page names the page among those that keep something in this tab
 */
export function chosenAnswer(page) {
  const name = `${page} answer`
  /** @type {Record<string, string>} */
  const kept = JSON.parse(recall(name) ?? '{}')
  for (const id of ids) by(id).value = kept[id] ?? by(id).value
  let chosen = read()
  by('answer').addEventListener('submit', (/** @type {Event} */ e) => e.preventDefault())
  by('answer').addEventListener('input', () => {
    chosen = read() ?? chosen
    keep(name, JSON.stringify(Object.fromEntries(ids.map((id) => [id, by(id).value]))))
  })

  return async (/** @type {import('/sdk.js').Info} */ { signal }) => {
    const { status, type, body, delayMs } = chosen ?? {
      status: 200,
      type: '',
      body: '',
      delayMs: 0,
    }
    if (delayMs) await pause(delayMs, signal)
    // Bytes, so that only the chosen Content-Type is sent.
    const content = withoutContent.includes(status) ? null : new TextEncoder().encode(body)
    return new Response(content, { status, headers: type ? { 'Content-Type': type } : {} })
  }
}

/** Returns the answer in the form. If it cannot be sent, shows why and returns undefined. */
function read() {
  const status = Number(by('status').value)
  const type = by('content-type').value.trim()
  const delayMs = Number(by('delay').value) * 1000
  const body = by('body').value
  const fault = !by('answer').checkValidity()
    ? 'Not applied: status is 200 to 599, delay 0 to 30, the type printable ASCII.'
    : ''
  const empty = withoutContent.includes(status) && body ? `A ${status} has no content.` : ''
  say(by('answer-note'), fault || empty)
  return fault ? undefined : { status, type, body, delayMs }
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
}
