/** Answers a browser that a provider sends back: accepts each sign-in's answer once, and nothing else. */
import { answerTo } from './oauth-flow.js'

/** @typedef {import('./oauth-flow.js').Flow} Flow */

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText }
main { width: min(30rem, 100% - 2rem) }
h1 { font-size: 1.5rem; line-height: 1.25; letter-spacing: -.015em }
`

/**
 * Returns the handler of the redirect URL.
 * @param {() => Flow | undefined} waiting returns the waiting sign-in
 * @param {(flow: Flow, answer: { code: string } | { refused: string }) => void} answered called once for each
 * sign-in, which then no longer waits
 * @returns {import('/sdk.js').Handler}
 */
export function callbackHandler(waiting, answered) {
  return (request, info) => {
    const { pathname, searchParams } = new URL(request.url)
    // Previews and HEAD requests end nothing.
    const sent = searchParams.has('code') || searchParams.has('error')
    if (pathname !== '/callback' || info.method !== 'GET' || !sent) {
      return page(404, 'Nothing is here', 'A provider sends browsers to /callback, with a code.')
    }
    const flow = waiting()
    const answer = flow && answerTo(flow, searchParams)
    if (!flow || !answer) {
      const why = 'No sign-in waits for this answer: it is over, or it was begun elsewhere.'
      return page(400, 'Unexpected answer', why)
    }
    answered(flow, answer)
    return 'code' in answer
      ? page(200, 'Signed in', 'You can close this tab, and return to the page that you came from.')
      : page(200, 'Not signed in', 'The provider refused. You can close this tab.')
  }
}

/**
 * @param {number} status
 * @param {string} title
 * @param {string} text
 */
function page(status, title, text) {
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${style}</style>
<main>
<h1>${title}</h1>
<p>${text}</p>
</main>
</html>
`
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy':
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    'Cache-Control': 'no-store',
    // The address contains the code.
    'Referrer-Policy': 'no-referrer',
  }
  return new Response(html, { status, headers })
}
