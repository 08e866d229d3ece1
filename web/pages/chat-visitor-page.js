/** The page of a chat visitor. It is at the origin of the claim, and runs one script of this page. */
import { hexOf } from './hex.js'

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --accent: light-dark(#0a6c74, #55c7c4); --line: color-mix(in srgb, CanvasText 18%, Canvas); --faint: color-mix(in srgb, CanvasText 72%, Canvas) }
* { box-sizing: border-box }
body { margin: 0; background: Canvas; color: CanvasText }
main { display: flex; flex-direction: column; max-width: 42rem; height: 100dvh; margin: 0 auto; padding: 1rem }
h1 { margin: 0; font-size: 1.125rem }
#here { margin: 0 0 .5rem; color: var(--faint); font-size: .875rem }
#log { flex: 1; min-height: 0; margin: 0; padding: .5rem 0; border-block: 1px solid var(--line); overflow: auto; list-style: none }
#log li { margin: .5rem 0; overflow-wrap: anywhere }
#log b { margin-right: .5rem; color: var(--accent) }
#log small { margin-right: .5rem; padding: .05rem .4rem; border: 1px solid var(--accent); border-radius: 1rem; color: var(--accent) }
#log p { margin: 0; white-space: pre-wrap }
#said { min-height: 1.5rem; margin: .25rem 0; color: var(--faint); font-size: .875rem }
.row { display: flex; gap: .5rem }
label { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
input { flex: 1; min-width: 0; padding: .6rem .75rem; border: 1px solid GrayText; border-radius: .5rem; font: inherit; background: Field; color: FieldText }
button { padding: .6rem 1.25rem; border: 0; border-radius: .5rem; font: inherit; font-weight: 650; background: var(--accent); color: Canvas; cursor: pointer }
[hidden] { display: none }
`

/**
 * @param {string} url of the request
 * @param {string} script
 */
export function visitorPage(url, script) {
  const nonce = hexOf(crypto.getRandomValues(new Uint8Array(16)))
  // Below a path the page is sandboxed, where 'self' does not match this origin, so the origin is named.
  const { origin, host } = new URL(url)
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'unsafe-inline'; connect-src ${origin} ws://${host} wss://${host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': policy,
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
  }
  return new Response(html(nonce, script), { headers })
}

/**
 * @param {string} nonce
 * @param {string} script
 */
function html(nonce, script) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chat</title>
<style>${style}</style>
<main>
<h1>Chat</h1>
<p id="here">A tab of somebody's browser serves this.</p>
<ol id="log" aria-label="Messages" aria-live="polite" tabindex="0"></ol>
<p id="said" role="status"></p>
<div id="enter" class="row"><label for="name">Your name</label><input id="name" maxlength="40" autocomplete="nickname" placeholder="Your name" autofocus><button id="join">Come in</button></div>
<div id="write" class="row" hidden><label for="text">Say something</label><input id="text" maxlength="2000" autocomplete="off" placeholder="Say something"><button id="send">Send</button></div>
</main>
<script nonce="${nonce}">
${script}</script>
</html>
`
}
