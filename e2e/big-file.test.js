// A tab serves a file of 2 GiB to curl in slices: ranges of it, and a download that is cut and resumed.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { bigFile, contentOf, fileSize, serveBigFile } from './big-file.js'
import { noBrowser, startBrowser } from './browser.js'
import { Gateway } from './gateway.js'
import { startSite } from './site.js'
import { startAll } from './start-all.js'
import { until } from './until.js'
import { field, visit } from './visitor.js'

const mib = 2 ** 20
// How much more memory all processes of the browser may use while the page serves the file.
const growthMost = 256 * mib

const curl = promisify(execFile).bind(undefined, 'curl')
const hashOf = (bytes) => createHash('sha256').update(bytes).digest('hex')

describe('a file of 2 GiB in a tab', { skip: noBrowser }, () => {
  let gateway, browser, site, dir, url, restingBytes

  before(async () => {
    ;[gateway, browser, site] = await startAll(Gateway.start(), startBrowser(), startSite())
    dir = await mkdtemp(join(tmpdir(), 'reversehttp-big-file-'))
    const page = await browser.newPage()
    await page.goto(`${site.url}empty`)
    url = await page.evaluate(serveBigFile, bigFile(gateway.url.slice(0, -1)))
    restingBytes = await residentBytes()
  })
  after(async () => {
    await browser?.close()
    await site?.close()
    await gateway?.stop()
    if (dir) await rm(dir, { recursive: true })
  })

  /** Returns the memory of the browser's processes. */
  async function residentBytes() {
    const session = await browser.newBrowserCDPSession()
    const { processInfo } = await session.send('SystemInfo.getProcessInfo')
    await session.detach()
    const sizes = processInfo.map(async ({ id }) => {
      const status = await readFile(`/proc/${id}/status`, 'utf8')
      return Number(status.match(/VmRSS:\s*(\d+)/)[1]) * 1024
    })
    return (await Promise.all(sizes)).reduce((a, b) => a + b)
  }

  test('has its size, and offers ranges', async () => {
    const { status, fields } = await visit(url, { method: 'HEAD' })
    assert.equal(status, 200)
    assert.equal(field(fields, 'Content-Length'), String(fileSize))
    assert.equal(field(fields, 'Accept-Ranges'), 'bytes')
  })

  const middle = fileSize / 2 - 5
  for (const [name, range, from, to] of [
    ['the beginning', '0-99999', 0, 100_000],
    ['the middle', `${middle}-${middle + 3 * mib}`, middle, middle + 3 * mib + 1],
    ['the last bytes', '-1000', fileSize - 1000, fileSize],
    ['all from near the end', `${fileSize - mib - 1}-`, fileSize - mib - 1, fileSize],
    ['more than there is', `${fileSize - 10}-${fileSize + 10}`, fileSize - 10, fileSize],
  ]) {
    test(`gives ${name}`, async () => {
      const path = join(dir, 'range')
      const told = ['-w', '%{http_code} %header{content-range}']
      const { stdout } = await curl(['-sS', '-r', range, '-o', path, ...told, url])
      assert.equal(stdout, `206 bytes ${from}-${to - 1}/${fileSize}`)
      assert.ok((await readFile(path)).equals(contentOf(from, to)), 'the content is another')
    })
  }

  test('has nothing beyond its end', async () => {
    const { status, fields } = await visit(url, { fields: [['Range', `bytes=${fileSize}-`]] })
    assert.equal(status, 416)
    assert.equal(field(fields, 'Content-Range'), `bytes */${fileSize}`)
  })

  test('is downloaded to its end by a second curl after the first was killed', async (t) => {
    // The first part counts as downloaded: it is a hole in the file, which takes no space.
    const path = join(dir, 'download')
    const begun = fileSize - 24 * mib
    await writeFile(path, '')
    await truncate(path, begun)
    const slowly = ['--limit-rate', '2M'] // or a busy machine would kill it too late
    const first = spawn('curl', ['-sS', '-N', '-C', '-', ...slowly, '-o', path, url], {
      stdio: 'ignore',
    })
    const ended = once(first, 'exit')
    const size = async () => (await stat(path)).size
    await until(async () => (await size()) >= begun + mib, 'curl has some of the file')
    first.kill('SIGKILL')
    await ended
    const cut = await size()
    assert.ok(cut < fileSize, 'curl was killed too late')
    const sinceMs = performance.now()
    await curl(['-sS', '-C', '-', '-o', path, url])
    const seconds = (performance.now() - sinceMs) / 1000
    t.diagnostic(`resumed at ${cut}; ${((fileSize - cut) / mib / seconds).toFixed(1)} MiB/s`)
    assert.equal(await size(), fileSize)
    const file = await open(path)
    const { buffer } = await file.read(Buffer.alloc(fileSize - begun), 0, fileSize - begun, begun)
    await file.close()
    assert.equal(hashOf(buffer), hashOf(contentOf(begun, fileSize)))
  })

  test('does not fill the memory of the browser', async (t) => {
    const growth = (await residentBytes()) - restingBytes
    t.diagnostic(`the browser takes ${(growth / mib).toFixed(1)} MiB more than before the visits`)
    assert.ok(growth < growthMost, `it takes ${growth} bytes more`)
  })
})
