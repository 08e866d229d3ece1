// File share: visitors download from a tab, with ranges, as a zip, by a password and by links that work once.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.js'
import { noBrowser, startBrowser } from './browser.js'
import { openDemo, picture, windows } from './demo-page.js'
import { Gateway } from './gateway.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { field, visit } from './visitor.js'

const folder = mkdtempSync(join(tmpdir(), 'reversehttp-files-'))
const sea = randomBytes(300_000)
const big = randomBytes(48 << 20)
mkdirSync(join(folder, 'trip/photos'), { recursive: true })
writeFileSync(join(folder, 'trip/photos/sea.bin'), sea)
writeFileSync(join(folder, 'trip/Größe & <b>.txt'), 'two words\n')
writeFileSync(join(folder, 'big.bin'), big)
const note9 = join(folder, 'note9.txt')
writeFileSync(note9, 'dropped\n')
const note = { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('hello\n') }
const html = { name: 'x.html', mimeType: 'text/html', buffer: Buffer.from('<script>1</script>') }
const photo = { name: 'sea.bin', mimeType: '', buffer: sea }

describe('file share', { skip: noBrowser }, () => {
  let gateway, browser

  before(async () => {
    ;[gateway, browser] = await startAll(Gateway.start(), startBrowser())
  })
  after(async () => {
    await browser?.close()
    await gateway?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const open = (options) => openDemo(browser, gateway, 'files', options)
  const range = (value, ...more) => ({ fields: [['Range', value], ...more] })
  const mode = (page, name) => page.getByRole('radio', { name }).check()
  const basic = (password) => ({
    fields: [['Authorization', `Basic ${Buffer.from(`files:${password}`).toString('base64')}`]],
  })

  test('a file that is chosen is served whole, in ranges and to HEAD', async () => {
    const { page, url, close } = await open()
    await page.locator('#files').setInputFiles([note, html])
    const whole = await visit(`${url}files/note.txt`)
    assert.equal(whole.status, 200)
    assert.equal(whole.content.toString(), 'hello\n')
    assert.equal(field(whole.fields, 'Content-Length'), '6')
    assert.match(field(whole.fields, 'Content-Disposition'), /^inline; filename="note.txt"/)
    await page.locator('#transfers', { hasText: '6 bytes, all sent' }).waitFor()

    const part = await visit(`${url}files/note.txt`, range('bytes=1-3'))
    assert.equal(part.status, 206)
    assert.equal(part.content.toString(), 'ell')
    assert.equal(field(part.fields, 'Content-Range'), 'bytes 1-3/6')
    const parts = await visit(`${url}files/note.txt`, range('bytes=0-1,4-'))
    assert.equal(parts.status, 206)
    assert.equal(field(parts.fields, 'Content-Length'), `${parts.content.length}`)
    assert.match(parts.content.toString(), /bytes 0-1\/6\r\n\r\nhe\r\n[^]*bytes 4-5\/6\r\n\r\no\n/)
    const beyond = await visit(`${url}files/note.txt`, range('bytes=6-'))
    assert.equal(beyond.status, 416)
    assert.equal(field(beyond.fields, 'Content-Range'), 'bytes */6')
    const head = await visit(`${url}files/note.txt`, { method: 'HEAD' })
    assert.equal(head.status, 200)
    assert.equal(field(head.fields, 'Content-Length'), '6')
    assert.equal(field(head.fields, 'Accept-Ranges'), 'bytes')

    // A page of a stranger is downloaded, and does not run at the origin of the claim.
    const saved = await visit(`${url}files/x.html`)
    assert.match(field(saved.fields, 'Content-Disposition'), /^attachment; filename="x.html"/)
    assert.equal((await visit(`${url}files/other`)).status, 404)
    assert.equal((await visit(`${url}files/note.txt`, { method: 'POST' })).status, 405)

    await page.getByRole('button', { name: 'Remove note.txt' }).click()
    assert.equal((await visit(`${url}files/note.txt`)).status, 404)
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Copy URL')
    await close()
  })

  test('a download that breaks off can be resumed, and the page shows both parts', async () => {
    const { page, url, close } = await open()
    await page.locator('#files').setInputFiles(join(folder, 'big.bin'))
    const begun = await download(`${url}files/big.bin`)
    const tag = begun.headers.etag
    const chunks = []
    let size = 0
    for await (const chunk of begun) {
      chunks.push(chunk)
      size += chunk.length
      // Leaving the loop destroys the connection.
      if (size > 1 << 20) break
    }
    await page.locator('#transfers [data-end="left"]', { hasText: 'visitor left' }).waitFor()
    const fields = { Range: `bytes=${size}-`, 'If-Range': tag }
    const rest = await download(`${url}files/big.bin`, fields)
    assert.equal(rest.statusCode, 206)
    for await (const chunk of rest) chunks.push(chunk)
    assert.ok(Buffer.concat(chunks).equals(big))
    await page.locator('#transfers [data-end="done"]', { hasText: 'MiB on' }).waitFor()
    const changed = { ...fields, 'If-Range': '"another"' }
    const whole = await download(`${url}files/big.bin`, changed)
    assert.equal(whole.statusCode, 200)
    assert.equal(whole.headers['content-length'], `${big.length}`)
    whole.destroy()
    await close()
  })

  test('a folder is listed, and comes as a zip', async () => {
    const { page, url, close } = await open()
    await page.locator('#folder').setInputFiles(join(folder, 'trip'))
    await page.locator('#files-count', { hasText: '2 files' }).waitFor()
    const { content } = await visit(url, { fields: [['Accept', 'application/json']] })
    const { files } = JSON.parse(content)
    assert.deepEqual(files.map(({ path }) => path).sort(), [
      'trip/Größe & <b>.txt',
      'trip/photos/sea.bin',
    ])
    for (const { path, url: at } of files) {
      const { status, content } = await visit(new URL(at, url).href)
      assert.equal(status, 200, path)
      assert.ok(content.equals(path.endsWith('.bin') ? sea : Buffer.from('two words\n')), path)
    }
    const zip = await visit(`${url}all.zip`)
    assert.equal(zip.status, 200)
    assert.equal(field(zip.fields, 'Content-Length'), `${zip.content.length}`)
    writeFileSync(join(folder, 'all.zip'), zip.content)
    const script = `import json, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
print(json.dumps([z.testzip(), {i.filename: i.file_size for i in z.infolist()}]))`
    const { stdout } = spawnSync('python3', ['-c', script, join(folder, 'all.zip')])
    const sizes = { 'trip/photos/sea.bin': sea.length, 'trip/Größe & <b>.txt': 10 }
    assert.deepEqual(JSON.parse(stdout), [null, sizes])
    const { page: visitor, context } = await visitorAt(url)
    await visitor.getByRole('link', { name: 'trip/Größe & <b>.txt' }).waitFor()
    const saved = visitor.waitForEvent('download')
    await visitor.getByRole('link', { name: 'Download all as a zip' }).click()
    assert.equal((await saved).suggestedFilename(), 'all.zip')
    await context.close()
    await close()
  })

  test('a file that is dropped anywhere in the page is shared', async () => {
    const { page, url, close } = await open()
    const dataTransfer = await page.evaluateHandle(() => {
      const data = new DataTransfer()
      data.items.add(new File(['dropped'], 'a.txt', { type: 'text/plain' }))
      return data
    })
    await page.dispatchEvent('h1', 'drop', { dataTransfer })
    await page.locator('#list', { hasText: 'a.txt' }).waitFor()
    assert.equal((await visit(`${url}files/a.txt`)).content.toString(), 'dropped')
    await close()
  })

  test('files and folders of the machine can be dropped, and after a reload the page says that they are gone', async () => {
    const { page, url, close } = await open()
    const devtools = await page.context().newCDPSession(page)
    const data = { items: [], files: [join(folder, 'trip'), note9], dragOperationsMask: 1 }
    const { x, y } = await page.locator('#drop').boundingBox()
    for (const type of ['dragEnter', 'dragOver', 'drop']) {
      if (type === 'drop') await page.locator('#drop.over').waitFor()
      await devtools.send('Input.dispatchDragEvent', { type, x: x + 9, y: y + 9, data })
    }
    await page.locator('#files-count', { hasText: '3 files' }).waitFor()
    const listed = await visit(url, { fields: [['Accept', 'application/json']] })
    assert.deepEqual(
      JSON.parse(listed.content)
        .files.map(({ path }) => path)
        .sort(),
      ['note9.txt', 'trip/Größe & <b>.txt', 'trip/photos/sea.bin'],
    )
    const { content } = await visit(`${url}files/trip/photos/sea.bin`)
    assert.ok(content.equals(sea), `${content.length} bytes`)
    await page.reload()
    await page.locator('#files-note', { hasText: 'This one had 3 files.' }).waitFor()
    assert.equal((await visit(`${url}files/note9.txt`)).status, 404)
    await page.reload()
    await page.locator('#state[data-state="online"]').waitFor()
    assert.equal(await page.textContent('#files-note'), '')
    await close()
  })

  test('a file that changed after it was chosen is not served as the earlier one', async () => {
    const { page, url, faults, close } = await open()
    const path = join(folder, 'changes.txt')
    writeFileSync(path, 'first')
    await page.locator('#files').setInputFiles(path)
    await page.locator('#list', { hasText: 'changes.txt' }).waitFor()
    writeFileSync(path, 'something longer')
    // The answer fails or is cut short; it never has the new content.
    const got = await visit(`${url}files/changes.txt`).catch(() => ({ status: 0, content: '' }))
    assert.doesNotMatch(got.content.toString(), /first|something/)
    await page.locator('#transfers [data-end="failed"]').waitFor()
    await until(() => faults.length, 'the SDK says that the file could not be read')
    faults.length = 0
    await close()
  })

  test('a password keeps strangers out, at once and after a restart of the gateway', async () => {
    const { page, url, faults, close } = await open()
    await page.locator('#files').setInputFiles(note)
    await mode(page, 'Anyone with the password')
    await page.locator('#access-note', { hasText: 'asks for the password' }).waitFor()
    await page.getByRole('textbox', { name: 'Password' }).fill('open sesame')
    await page.getByRole('button', { name: 'Set it' }).click()
    const at = `${url}files/note.txt`
    await until(async () => (await visit(at, basic('open sesame'))).status === 200, 'it is set')
    assert.equal((await visit(at)).status, 401)
    assert.equal((await visit(at, basic('open'))).status, 401)
    await gateway.restart()
    faults.length = 0
    await until(async () => (await visit(at, basic('open sesame'))).status === 200, 'it is back')
    assert.equal((await visit(at)).status, 401)
    await mode(page, 'Anyone with the URL')
    await until(async () => (await visit(at)).status === 200, 'it is open again')
    // The console has the browser's messages about the stopped gateway.
    faults.length = 0
    await close()
  })

  test('a one-time link lets one browser in, and no other after it', async () => {
    const { page, url, close } = await open({ permissions: ['clipboard-write'] })
    await page.locator('#files').setInputFiles(note)
    await mode(page, 'Only people with a one-time link')
    await page.locator('#access-note', { hasText: 'no longer admits anyone' }).waitFor()
    assert.equal((await visit(url)).status, 403)
    await page.getByRole('button', { name: 'Make a one-time link' }).click()
    const link = await until(() => page.inputValue('#one-link'), 'there is a link')
    // A preview of the link does not use it up.
    assert.equal((await visit(link)).status, 200)
    const first = await visitorAt(link)
    await first.page.getByRole('button').click()
    await first.page.getByRole('link', { name: 'note.txt' }).waitFor()
    const second = await visitorAt(link)
    assert.equal(await second.page.getByRole('link', { name: 'note.txt' }).count(), 0)
    assert.equal((await visit(link)).status, 410)
    await first.context.close()
    await second.context.close()
    await close()
  })

  test('below a path files are served, and the page says why it cannot ask for a password', async () => {
    const below = await Gateway.startBelowPath()
    try {
      const { page, url, close } = await openDemo(browser, below, 'files')
      await page.locator('#files').setInputFiles(note)
      assert.equal((await visit(`${url}files/note.txt`)).content.toString(), 'hello\n')
      const { page: visitor, context } = await visitorAt(url)
      assert.equal(
        await visitor.getByRole('link', { name: 'note.txt' }).evaluate((a) => a.href),
        `${url}files/note.txt`,
      )
      await context.close()
      assert.ok(await page.getByRole('radio', { name: 'Anyone with the password' }).isDisabled())
      await page.locator('#access-note', { hasText: 'share one origin' }).waitFor()
      await close()
    } finally {
      await below.stop()
    }
  })

  for (const [name, options] of windows) {
    test(`axe finds nothing, ${name}`, async () => {
      const { page, url, close } = await open(options)
      await accessible(page, `empty, ${name}`)
      await picture(page, `files empty ${name}`)
      await page.locator('#files').setInputFiles([note, html, photo])
      await visit(`${url}files/note.txt`)
      await page.locator('#transfers', { hasText: 'all sent' }).waitFor()
      await mode(page, 'Anyone with the password')
      await page.locator('#access-note', { hasText: 'asks for the password' }).waitFor()
      await accessible(page, name)
      await picture(page, `files ${name}`)
      await mode(page, 'Anyone with the URL')
      await page.locator('#access-note', { hasText: 'with the URL' }).waitFor()
      const visitor = await visitorAt(url, options)
      await visitor.page.getByRole('link', { name: 'note.txt' }).waitFor()
      await accessible(visitor.page, `what a visitor sees, ${name}`)
      await picture(visitor.page, `files visitor ${name}`)
      await visitor.context.close()
      await close()
    })
  }

  /** Begins a download and returns its content as a stream. */
  async function download(address, headers = {}) {
    const { hostname, port, host, pathname: path } = new URL(address)
    assert.match(hostname, /\.localhost$/)
    const asked = get({ host: '127.0.0.1', port, path, headers: { ...headers, Host: host } })
    const [answer] = await once(asked, 'response')
    return answer
  }

  /** Opens a URL as another person. */
  async function visitorAt(address, options) {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    await page.goto(address)
    return { context, page }
  }
})
