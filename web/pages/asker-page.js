/**
 * The pages for a browser that asks a person. They are at the origin of the claim and have no
 * scripts.
 */

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText }
main { width: min(36rem, 100% - 2rem); padding: 2rem 0 }
h1 { font-size: 1.5rem; line-height: 1.25 }
label { display: block; margin: 1rem 0 .25rem; font-weight: 600 }
textarea, input { box-sizing: border-box; width: 100%; padding: .6rem .75rem; border: 1px solid GrayText; border-radius: .5rem; font: inherit; background: Field; color: FieldText }
button { margin-top: 1rem; padding: .6rem 1.5rem; border: 0; border-radius: .5rem; font: inherit; font-weight: 650; background: #0a6c74; color: #fff; cursor: pointer }
.answer { padding: 1rem 1.25rem; border-left: 4px solid #0a6c74; font-size: 1.25rem; white-space: pre-wrap; overflow-wrap: anywhere }
.faint { margin-top: 2rem; font-size: .875rem; opacity: .75; overflow-wrap: anywhere }
.question { white-space: pre-wrap; overflow-wrap: anywhere; opacity: .75 }
`

/**
 * Returns the page with the form for a question.
 * @param {string} base the URL at which to ask
 */
export function askerPage(base) {
  return page(
    'Ask a person',
    `<h1>A person answers here</h1>
<p>They see your question at once. This page waits for the answer, so leave it open.</p>
<form method="post" action="">
<label for="question">Your question</label>
<textarea id="question" name="question" rows="4" maxlength="4000" required autofocus></textarea>
<label for="from">Your name, if you like</label>
<input id="from" name="from" maxlength="80" autocomplete="name">
<button>Ask, and wait for the answer</button>
</form>
<p class="faint">Does the button do nothing? Gateways that are open to strangers keep forms off a URL that is new. This does the same: <code>curl ${escaped(base)} -d 'Your question'</code></p>`,
  )
}

/**
 * Returns the page with an answer.
 * @param {string} base the URL at which to ask
 * @param {string} answer
 * @param {string} [question]
 */
export function answerPage(base, answer, question) {
  const asked = question ? `<p class="question">${escaped(question)}</p>\n` : ''
  return page(
    'The answer',
    `<h1>${question ? 'You asked' : 'Ask a person'}</h1>
${asked}<p class="answer">${escaped(answer)}</p>
<p><a href="${escaped(base)}">Ask something else</a></p>`,
  )
}

/**
 * @param {string} title
 * @param {string} content as markup
 */
function page(title, content) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${style}</style>
<main>
${content}
</main>
</html>
`
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
}
