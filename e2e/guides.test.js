// Follows the guides, and the skill for agents: runs the snippets of each in order, in an empty folder, against a
// gateway of the test.
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { picture, windows } from './demo-page.js'
import { Gateway, build, commandBinary, freePort } from './gateway.js'
import { startSite } from './site.js'
import { startAll } from './start-all.js'
import { root } from './steps/run.js'
import { until } from './until.js'

const folder = join(root, 'web/guides')
const names = (await readdir(folder)).sort()
const sources = new Map()
for (const name of names) sources.set(name, await readFile(join(folder, name), 'utf8'))
const skill = await readFile(join(root, 'web/skills/reversehttp/SKILL.md'), 'utf8')

/** Answers questions in the page by taps: those whose text is in the snippet that runs. */
const tapping =
  (...answers) =>
  async (page, snippet) => {
    for (const [text, answer] of answers) {
      if (!snippet.includes(text)) continue
      const question = page.locator('.question').filter({ hasText: text })
      await question.getByRole('button', { name: answer }).click()
    }
  }

/** The page of the gateway that a guide opens, which has the label LABEL, and what its reader does there. */
const opened = {
  'webhook.md': { path: 'inbox' },
  'ask.md': {
    path: 'ask',
    act: tapping(
      ['Ship it?', 'yes'],
      ['Delete the old backups?', 'no'],
      ['Where is lunch?', 'there'],
    ),
  },
  'SKILL.md': { path: 'ask', act: tapping(['Ship it?', 'yes']) },
  'files.md': {
    path: 'files',
    prepare: (page) =>
      page.locator('#files').setInputFiles({
        name: 'note.txt',
        mimeType: 'text/plain',
        buffer: Buffer.from('hello\n'),
      }),
  },
  'mcp.md': { path: 'mcp' },
}

/** Kinds of blocks that are not run: commands that install something or need a public machine, and files. */
const shown = new Set(['sh server', 'json', 'zone', 'nginx', 'caddy'])

/** The fenced blocks of a guide: info string and text. */
function blocks(source) {
  return [...source.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map(([, info, text]) => ({ info, text }))
}

/** The id that code hosts make of a heading. */
const heading = (line) =>
  line
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

test('links of guides lead to existing files and headings', async () => {
  let links = 0
  for (const [name, source] of sources) {
    const text = source.replace(/^```.*\n[^]*?^```$/gm, '')
    for (const [, to] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (to.startsWith('http://localhost:8080/')) continue // a page; web_test.go looks for it
      const [path, fragment] = to.split('#')
      const file = path ? join(folder, path) : join(folder, name)
      const there = await readFile(file, 'utf8')
      links++
      if (!fragment) continue
      const headings = [...there.matchAll(/^#+ (.*)$/gm)].map(([, line]) => heading(line))
      assert.ok(headings.includes(fragment), `${name}: ${to}`)
    }
  }
  assert.ok(links > 0)
  const listed = [...sources.get('README.md').matchAll(/^\| \[[^\]]+\]\(([^)]+)\)/gm)].map(
    (m) => m[1],
  )
  assert.deepEqual(listed.sort(), names.filter((name) => name !== 'README.md').sort())
})

test('configurations of proxies are the same as in the documentation for operators', async () => {
  const readme = await readFile(join(root, 'server/README.md'), 'utf8')
  const text = (info) => blocks(sources.get('proxy.md')).find((block) => block.info === info).text
  assert.ok(readme.includes(`\n\n${text('nginx').replace(/^/gm, '    ').trimEnd()}\n\n`))
  assert.equal(text('caddy'), await readFile(join(root, 'server/deploy/Caddyfile'), 'utf8'))
})

describe('a guide', { skip: noBrowser }, () => {
  let gateway, browser, site, dir, command

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'reversehttp-guides-'))
    command = commandBinary()
    ;[gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
    if (dir) await rm(dir, { recursive: true })
  })

  for (const [name, source] of [...sources, ['SKILL.md', skill]]) {
    test(`the snippets of ${name} work in order`, async (t) => {
      const cwd = join(dir, name)
      await mkdir(cwd)
      const env = {
        ...process.env,
        PATH: `${dirname(command)}:${process.env.PATH}`,
        HOME: cwd,
        XDG_STATE_HOME: join(dir, 'state', name),
        XDG_RUNTIME_DIR: '',
        REVERSEHTTP_GATEWAY: gateway.url.slice(0, -1),
      }
      const port = String(await freePort())
      const context = await browser.newContext()
      t.after(() => context.close())
      let label, reader
      if (opened[name]) {
        reader = await context.newPage()
        await reader.goto(`${gateway.url}${opened[name].path}`)
        await reader.locator('#state[data-state="online"]').waitFor()
        await opened[name].prepare?.(reader)
        label = new URL(await reader.getAttribute('#url', 'href')).hostname.split('.')[0]
      }
      const adapted = (text) =>
        text
          .replaceAll('localhost:8080', `localhost:${gateway.port}`)
          .replace(/\b3000\b/g, port)
          .replaceAll('LABEL', label ?? 'LABEL')
          // Two guides choose this label, and a page that is closed keeps its label until its lease ends.
          .replaceAll('my-app', `my-${name.slice(0, -3).toLowerCase()}`)

      // Aborted when a program ends that should run until the guide ends: nothing waits for it any longer.
      const over = new AbortController()
      const { signal } = over
      /** Waits as until does, while all programs run. */
      const whileRunning = (so, what) =>
        until(() => {
          signal.throwIfAborted()
          return so()
        }, what)

      /** Starts a program that runs until the guide ends, and returns its first line. */
      function launch(command, args) {
        const options = { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] }
        const child = spawn(command, args, options)
        const ended = once(child, 'close')
        let said = ''
        child.stderr.on('data', (chunk) => (said += chunk))
        child.on('close', (code, by) => {
          const how = code ?? by
          over.abort(new Error(`it ended with ${how}: ${[command, ...args].join(' ')}\n${said}`))
        })
        t.after(async () => {
          if (child.exitCode === null && child.signalCode === null)
            process.kill(-child.pid, 'SIGTERM')
          await ended
        })
        const line = once(createInterface(child.stdout), 'line', { signal })
        line.catch(() => {}) // where nobody waits for it
        return line
      }

      let output, printed
      for (const { info, text } of blocks(source)) {
        signal.throwIfAborted()
        const snippet = adapted(text)
        if (info === 'sh run') {
          const options = { cwd, env, signal }
          const running = promisify(execFile)('bash', ['-euc', snippet], options)
          const [{ stdout }] = await Promise.all([running, opened[name]?.act?.(reader, text)])
          output = stdout
        } else if (info === 'text output') {
          assert.equal(output, snippet)
        } else if (info === 'sh start') {
          const line = launch('bash', ['-euc', snippet])
          const url = `http://127.0.0.1:${port}/`
          if (snippet.startsWith('reversehttp ')) await line
          else
            await whileRunning(() => fetch(url, { signal }).catch(() => false), 'the server is up')
        } else if (info === 'js page') {
          const page = await context.newPage()
          await page.goto(`${site.url}empty`)
          const lines = []
          page.on('console', (m) => lines.push(m.text()))
          printed = () => whileRunning(() => lines.shift(), 'the page prints a line')
          await page.addScriptTag({ type: 'module', content: snippet })
          assert.match(await printed(), /^http:/)
        } else if (info === 'text console') {
          assert.equal(`${await printed()}\n`, snippet)
        } else if (info === 'go') {
          const file = join(cwd, 'main.go')
          await writeFile(file, snippet)
          assert.equal(execFileSync('gofmt', ['-d', file]).toString(), '', 'it is formatted')
          await launch(build(file, 'guide'), [])
        } else {
          assert.ok(shown.has(info), `nothing runs a block of ${info}`)
        }
      }
    })
  }

  for (const [name, options] of windows) {
    test(`everybody can read the pages, ${name}`, async () => {
      const context = await browser.newContext(options)
      const page = await context.newPage()
      const faults = []
      page.on('pageerror', (e) => faults.push(e.message))
      page.on('console', (m) => faults.push(`${m.type()}: ${m.text()}`))
      for (const file of names) {
        const path = file === 'README.md' ? 'guides' : `guides/${file.slice(0, -3)}`
        await page.goto(`${gateway.url}${path}`)
        await page.getByText('All pages').waitFor()
        await accessible(page, `${path}, ${name}`)
        await picture(page, `${path.replace('/', ' ')} ${name}`)
        const links = await page
          .locator('main a')
          .evaluateAll((all) => all.map((a) => [a.pathname, a.hash]))
        for (const [to, hash] of links) {
          const answer = await fetch(new URL(to, gateway.url))
          assert.equal(answer.status, 200, `${path} links to ${to}`)
          const html = await answer.text()
          assert.ok(!hash || html.includes(`id="${hash.slice(1)}"`), `${path}: ${to}${hash}`)
        }
        const markdown = await fetch(`${gateway.url}guides/${file}`)
        assert.equal(await markdown.text(), sources.get(file))
      }
      assert.deepEqual(faults, [])
      await context.close()
    })
  }

  test('llms.txt lists each guide as Markdown', async () => {
    const list = await (await fetch(`${gateway.url}llms.txt`)).text()
    for (const [name, source] of sources) {
      const [, title] = source.match(/^# (.*)$/m)
      assert.ok(list.includes(`- [${title}](/guides/${name}): `), name)
    }
  })
})
