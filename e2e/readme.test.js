// Runs the snippets of README.md, unchanged, against a gateway of the test.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { noBrowser, startBrowser } from './browser.js'
import { Gateway, build } from './gateway.js'
import { startSite } from './site.js'
import { startAll } from './start-all.js'
import { root } from './steps/run.js'
import { visit } from './visitor.js'

const readme = await readFile(join(root, 'README.md'), 'utf8')
const shownGateway = 'http://localhost:8080'

/** The first fenced block of a language. */
function block(language) {
  const found = readme.match(new RegExp('^```' + language + '\\n(.*?)^```$', 'ms'))?.[1]
  assert.ok(found, `README.md shows no ${language}`)
  return found
}

describe('README.md', () => {
  let gateway, dir

  before(async () => {
    gateway = await Gateway.start()
    dir = await mkdtemp(join(tmpdir(), 'reversehttp-readme-'))
  })
  after(async () => {
    await gateway?.stop()
    if (dir) await rm(dir, { recursive: true })
  })

  /** A block with the URL of the test's gateway. */
  function snippet(language) {
    const text = block(language)
    assert.ok(text.includes(shownGateway), `the ${language} names no ${shownGateway}`)
    return text.replaceAll(shownGateway, gateway.url.slice(0, -1))
  }

  /** Runs a program, calls visiting with the public URL that it prints, and ends it. */
  async function running(command, args, visiting) {
    const child = spawn(command, args, {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'close')
    try {
      const lines = createInterface(child.stdout)
      const [url] = await once(lines, 'line', { signal: AbortSignal.timeout(600_000) })
      await visiting(url)
    } finally {
      process.kill(-child.pid, 'SIGTERM')
      await ended
    }
  }

  test('the JavaScript answers from a page of any origin', { skip: noBrowser }, async (t) => {
    const [browser, site] = await startAll(startBrowser(), startSite())
    t.after(async () => {
      await browser.close()
      await site.close()
    })
    const page = await browser.newPage()
    await page.goto(`${site.url}empty`)
    const printed = page.waitForEvent('console')
    await page.addScriptTag({ type: 'module', content: snippet('js') })
    const url = (await printed).text()
    const { status, content } = await visit(`${url}a/b`, { method: 'POST', content: 'hi' })
    assert.equal(status, 200)
    assert.deepEqual(JSON.parse(content), { path: '/a/b', sent: 'hi' })
  })

  test('the Go program answers', async () => {
    const source = join(dir, 'main.go')
    await writeFile(source, snippet('go'))
    assert.equal(execFileSync('gofmt', ['-d', source]).toString(), '', 'it is formatted')
    await running(build(source, 'readme'), [], async (url) => {
      const { status, content } = await visit(`${url}go.mod`)
      assert.equal(status, 200)
      assert.equal(content.toString(), await readFile(join(root, 'go.mod'), 'utf8'))
    })
  })

  test('the shell loop is the one that the vectors run, and answers', async () => {
    const loop = await readFile(join(root, 'schema/examples/server.sh'), 'utf8')
    assert.equal(block('sh'), loop)
    execFileSync('shellcheck', [join(root, 'schema/examples/server.sh')], { stdio: 'inherit' })
    const path = join(dir, 'loop.sh')
    await writeFile(path, snippet('sh'))
    await running('bash', [path], async (url) => {
      const { status, content } = await visit(`${url}a?b=c`, { method: 'PUT' })
      assert.equal(status, 200)
      assert.equal(content.toString(), 'PUT /a?b=c\n')
    })
  })

  test('the files that it links to exist', async () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, path]) => path)
    assert.ok(links.length > 0)
    for (const path of links) await readFile(join(root, path)).catch(isDirectory)
  })
})

function isDirectory(e) {
  if (e.code !== 'EISDIR') throw e
}
