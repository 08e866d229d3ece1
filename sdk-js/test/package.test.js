// The package as its users have it: packed, unpacked, imported and type-checked, with the snippets of its README.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { request, scriptedGateway, until } from './scripted-gateway.js'

const run = promisify(execFile)
const here = fileURLToPath(new URL('../', import.meta.url))
const root = fileURLToPath(new URL('../../', import.meta.url))
const bin = (name) => join(root, 'node_modules/.bin', name)

let dir, tarball, files
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'reversehttp-package-'))
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dir], { cwd: here })
  const [packed] = Object.values(JSON.parse(stdout.slice(stdout.search(/^[[{]/m))))
  tarball = join(dir, packed.filename)
  files = packed.files.map((f) => f.path)
  await mkdir(join(dir, 'node_modules/reversehttp'), { recursive: true })
  await run('tar', [
    'xzf',
    tarball,
    '-C',
    join(dir, 'node_modules/reversehttp'),
    '--strip-components=1',
  ])
  for (const name of ['hono', 'itty-router']) {
    await symlink(join(root, 'node_modules', name), join(dir, 'node_modules', name))
  }
  await writeFile(join(dir, 'package.json'), '{"type":"module"}')
})
after(() => rm(dir, { recursive: true }))

test('the tarball has the modules, their types, their maps, the script of the command, README and LICENSE, and no tests', () => {
  for (const name of [
    ...['index', 'stream', 'websocket', 'wait', 'files', 'receive', 'worker'].flatMap((name) =>
      ['js', 'js.map', 'd.ts'].map((extension) => `dist/${name}.${extension}`),
    ),
    'bin/reversehttp.js',
    'README.md',
    'LICENSE',
  ]) {
    assert.ok(files.includes(name), `${name} is missing in ${files}`)
  }
  assert.deepEqual(
    files.filter(
      (f) => !/^(dist\/.*|bin\/reversehttp\.js|README\.md|LICENSE|package\.json)$/.test(f),
    ),
    [],
  )
})

test('LICENSE is the one of the repository', async () => {
  assert.equal(await readFile(`${here}LICENSE`, 'utf8'), await readFile(`${root}LICENSE`, 'utf8'))
})

test('publint finds nothing', async () => {
  const { stdout } = await run(bin('publint'), ['run', tarball, '--strict'])
  assert.match(stdout, /All good!/)
})

test('the types are right for programs that import the module', async () => {
  // It fails by its exit code.
  const { stdout } = await run(bin('attw'), [tarball, '--profile', 'esm-only'])
  assert.match(stdout, /node16 \(from ESM\).*🟢 \(ESM\)/)
})

test('helpers are exported by name, with their types', async () => {
  const { exports } = JSON.parse(await readFile(`${here}package.json`, 'utf8'))
  const names = Object.keys(exports).filter((name) => !/^\.$|json$/.test(name))
  const source = await readFile(`${here}bundle.go`, 'utf8')
  const helpers = [...source.match(/^var Helpers = .*$/m)[0].matchAll(/"(\w+)\.js"/g)]
  assert.deepEqual(
    names,
    helpers.map(([, name]) => `./${name}`),
  )
})

test('handlers of routers fit without a cast, in a strict program', async () => {
  await writeFile(
    join(dir, 'program.ts'),
    `import { Hono } from 'hono'
    import { AutoRouter } from 'itty-router'
    import { serve, ReverseHttpError, type Claim, type Handler, type Info, type ServeOptions, type Socket, type UpgradeOptions } from 'reversehttp'
    const options: ServeOptions = { gateway: new URL('https://gateway.example'), redeliver: 'any', storage: null, fetch }
    await serve(new Hono<{ Bindings: Info }>().get('/', (c) => c.text(c.env.remoteAddr)).fetch, options)
    await serve(AutoRouter().fetch)
    const handler: Handler = (request, { headers, content }) => new Response(content, { headers: [...headers] })
    await serve((_, info) => {
      const socket: Socket | undefined = info.upgrade?.({ protocol: 'chat', messageBytes: 1024 } satisfies UpgradeOptions)
      if (!socket) return new Response(null, { status: 501 })
      socket.onmessage = (e) => socket.send(e.data)
      socket.addEventListener('close', ({ code, wasClean }) => [code.toFixed(), wasClean])
      info.earlyHints([['Link', '</a.css>; rel=preload']])
      return undefined
    })
    await serve((_, info) => { info.upgrade?.().close() })
    await serve(async (_, info) => { info.upgrade?.().close(1000) })
    {
      await using claim: Claim = await serve(handler, options)
      claim.addEventListener('exchange', ({ request, response, durationMs }) => [request.target, response?.status, durationMs])
      claim.addEventListener('error', ({ error }) => error.code satisfies string)
      claim.addEventListener('statechange', (e) => e.state === 'online')
      await claim.closed.catch((e: ReverseHttpError) => e.status)
      // @ts-expect-error: not a state
      if (claim.state === 'open') throw new ReverseHttpError('network', 'x')
    }
    // @ts-expect-error: not an answer
    await serve(() => 'hello')`,
  )
  const flags = [
    '--strict',
    '--exactOptionalPropertyTypes',
    '--noEmit',
    '--target',
    'es2022',
    '--module',
    'nodenext',
  ]
  // Without the types of Node, and without esnext.disposable unless the package itself references it.
  const { stdout } = await run(
    bin('tsc'),
    [...flags, '--lib', 'es2022,dom,dom.iterable', '--types', '', 'program.ts'],
    { cwd: dir },
  ).catch((e) => e)
  // itty-router's own declarations have errors.
  const ours = stdout
    .split('\n')
    .filter((line) => line && !line.includes('node_modules/itty-router/'))
  assert.deepEqual(ours, [])
})

const readme = await readFile(`${here}README.md`, 'utf8')
const snippets = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map((m) => m[1])

test('README has snippets', () => assert.ok(snippets.length >= 4))

// The parts of a page that a snippet needs.
const page =
  'globalThis.document = Object.assign(new EventTarget(), { querySelector: () => ({}) })\n'

for (const [i, snippet] of snippets.entries()) {
  test(`snippet ${i + 1} of README answers a visitor`, async (t) => {
    const gateway = await scriptedGateway()
    t.after(() => gateway.close())
    await writeFile(
      join(dir, `${i}.js`),
      (/\bdocument\./.test(snippet) ? page : '') +
        snippet.replace(/https:\/\/gateway\.example|http:\/\/localhost:8080/g, gateway.origin),
    )
    const child = spawn(process.execPath, [`${i}.js`], {
      cwd: dir,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => child.kill())
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    await gateway.deliver(request('x1', { target: '/hi/you', headers: [['Cookie', 'a=b']] }))
    await until(() => gateway.seen.answers.length)
    assert.equal(gateway.seen.answers[0].status, 200, gateway.seen.answers[0].body)
    if (snippet.includes('console.log(claim.url)'))
      assert.match(output, /^http:\/\/demo\.localhost:8080\//)
  })
}

test('README names every option', async () => {
  const source = await readFile(`${here}src/options.ts`, 'utf8')
  const options = [...source.matchAll(/^ {2}(\w+)\?: /gm)].map((m) => m[1])
  assert.ok(options.length >= 12, `${options}`)
  for (const name of options)
    assert.ok(readme.includes(`| \`${name}\` | `), `${name} is not in the table`)
})
