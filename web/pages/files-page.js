/** The list of files that a visitor sees. It is at the origin of the claim and has no script. */
import { bytesInWords } from './content.js'

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --accent: light-dark(#0a6c74, #55c7c4) }
body { margin: 0; background: Canvas; color: CanvasText }
main { max-width: 42rem; margin: 0 auto; padding: 2.5rem 1rem 4rem }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; letter-spacing: -.015em; line-height: 1.25 }
p { margin: 0; opacity: .8 }
ul { margin: 1.5rem 0; padding: 0; list-style: none; border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent) }
li { display: flex; gap: 1rem; align-items: baseline; padding: .7rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent) }
li a { flex: 1; min-width: 0; overflow-wrap: anywhere; color: var(--accent); font-weight: 550; text-decoration: none }
li a:hover { text-decoration: underline }
li span { font-size: .875rem; opacity: .8; white-space: nowrap; font-variant-numeric: tabular-nums }
.all { display: inline-block; padding: .6rem 1.5rem; border-radius: .5rem; background: var(--accent); color: Canvas; font-weight: 650; text-decoration: none }
`

/** @param {{ path: string, url: string, size: number }[]} files */
export function listPage(files) {
  const size = files.reduce((sum, { size }) => sum + size, 0)
  const rows = files
    .map(
      ({ path, url, size }) =>
        `<li><a href="${escaped(url)}"><bdi>${escaped(path)}</bdi></a><span>${bytesInWords(size)}</span></li>`,
    )
    .join('\n')
  const count = files.length === 1 ? 'One file' : `${files.length} files`
  const title = files.length ? `${count}, ${bytesInWords(size)}` : 'Nothing is shared here yet'
  const all = `<a class="all" href="all.zip">Download all as a zip</a>`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shared files</title>
<style>${style}</style>
<main>
<h1>${title}</h1>
<p>They come from somebody's browser, for as long as that page is open.</p>
${files.length ? `<ul>\n${rows}\n</ul>` : ''}
${files.length > 1 ? all : ''}
</main>
</html>
`
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
}
