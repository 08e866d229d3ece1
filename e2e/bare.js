// Chromium whose pages have no DevTools attached: it treats them as those of a person. It neither freezes nor discards
// by its own rules what has DevTools.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'
import { args } from './browser.js'
import { findBrowser } from './program.js'

/** Starts a browser with a new profile, and more flags. Its internal pages, such as chrome://discards, can be opened. */
export async function startBare(...flags) {
  const profile = mkdtempSync(join(tmpdir(), 'reversehttp-bare-'))
  writeFileSync(join(profile, 'Local State'), JSON.stringify({ internal_only_uis_enabled: true }))
  const process = spawn(
    await findBrowser(),
    [
      '--headless',
      ...args,
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      ...flags,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const exited = once(process, 'exit')
  const ended = exited.then(([code]) => {
    throw new Error(`the browser ended with ${code}`)
  })
  ended.catch(() => {})
  const address = new Promise((resolve) =>
    createInterface(process.stderr).on('line', (line) => {
      const found = line.match(/^DevTools listening on (\S+)/)
      if (found) resolve(found[1])
    }),
  )
  const devtools = new WebSocket(await Promise.race([address, ended]))
  await Promise.race([once(devtools, 'open'), ended])
  const browser = new Bare(devtools)
  browser.close = async () => {
    await browser.send('Browser.close').catch(() => process.kill())
    await exited
    devtools.terminate()
    rmSync(profile, { recursive: true, force: true, maxRetries: 20 })
  }
  return browser
}

/** A browser by its DevTools protocol. */
class Bare {
  #devtools
  #last = 0
  #waiting = new Map()

  constructor(devtools) {
    this.#devtools = devtools
    devtools.on('message', (content) => {
      const { id, result, error } = JSON.parse(content)
      const waits = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error) waits?.reject(new Error(error.message))
      else waits?.resolve(result)
    })
    devtools.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the browser is gone'))
    })
  }

  /** Sends a command, to a target with a session, and returns its result. */
  send(method, params = {}, sessionId) {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#devtools.send(JSON.stringify({ id, method, params, sessionId }))
    })
  }

  /** Opens a tab, and returns its target. It is in front unless it opens in the background. */
  async open(url, { background = false } = {}) {
    return (await this.send('Target.createTarget', { url, background })).targetId
  }

  /** Attaches DevTools to a tab, and returns a function that evaluates an expression there. */
  async attach(targetId) {
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    return async (expression) => {
      const params = { expression, awaitPromise: true, returnByValue: true }
      const { result, exceptionDetails } = await this.send('Runtime.evaluate', params, sessionId)
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description)
      return result.value
    }
  }
}
