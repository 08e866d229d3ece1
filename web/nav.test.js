// The way to all pages has each page, and each page has it.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { pages } from './pages/nav.js'

const folder = new URL('pages/', import.meta.url)

test('every page is in the list, and draws it', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.html'))
  const paths = files.map((name) => `/${name.replace(/(^index)?\.html$/, '')}`)
  files.push('../guide.html') // the page of each guide
  paths.push('/guides')
  assert.deepEqual(pages.map(([path]) => path).sort(), paths.sort())
  for (const name of files) {
    const html = readFileSync(new URL(name, folder), 'utf8')
    assert.match(html, /<nav aria-label="Pages">/, name)
    assert.match(html, /<script type="module" src="\/nav\.js"><\/script>/, name)
  }
})
