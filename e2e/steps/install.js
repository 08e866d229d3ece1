// What a check needs and this machine may lack.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { findBrowser, findFirefox, findProgram } from '../program.js'
import { say } from './output.js'
import { root, run } from './run.js'

/** Something that this machine lacks and that we may not install. */
export class CannotRun extends Error {}

/** Installs all that the tests need besides Go and Node, and says what. */
export async function setup() {
  await installPackages()
  await installPrograms()
}

/** Installs npm packages when they are missing or older than the lock. */
export async function installPackages() {
  // npm writes this file when it has installed everything.
  const installed = await changed('node_modules/.package-lock.json')
  if (installed >= (await changed('package-lock.json'))) return say('npm: all packages are there')
  say('npm: installs the packages of package-lock.json')
  await run('npm', 'ci', '--no-progress')
}

async function changed(name) {
  try {
    return (await stat(join(root, name))).mtimeMs
  } catch (e) {
    if (e.code === 'ENOENT') return 0
    throw e
  }
}

/** Downloads the sources of the NATS server, which has a module of its own. Tests build it. */
export const downloadServer = () => run('go', '-C', 'e2e/cluster/nats', 'mod', 'download')

/** Installs what tests start besides Go and Node, with apt where this process may. */
export async function installPrograms() {
  const missing = await missingPrograms()
  if (!missing.length) return say('apt: all programs are there')
  if (process.getuid?.() !== 0 || !(await findProgram('apt-get'))) {
    const names = missing.join(' ')
    throw new CannotRun(`there is no ${names}; run: sudo apt-get install -y ${names}`)
  }
  say(`apt: installs ${missing.join(', ')}`)
  await run('apt-get', 'update', '-q')
  await run('apt-get', 'install', '-q', '-y', '--no-install-recommends', ...missing)
  const still = await missingPrograms()
  if (still.length) throw new Error(`apt installed them, and yet there is no ${still.join(', ')}`)
}

// The package that has a program, where it is not named for it. A perl without modules has no json_pp.
const packages = {
  json_pp: 'perl',
  javac: 'openjdk-17-jdk-headless',
  http: 'httpie',
  'systemd-analyze': 'systemd',
}
const programs = [
  'curl',
  'http',
  'jq',
  'openssl',
  'shellcheck',
  'gcc',
  'litmus',
  'squid',
  'tinyproxy',
  'zsh',
  'fish',
  'python3',
  'json_pp',
  'javac',
  'groff',
  'systemd-analyze',
]

async function missingPrograms() {
  const missing = []
  for (const name of programs) {
    // Users do not look where Debian has proxies.
    const there = (await findProgram(name)) ?? (await findProgram(`/usr/sbin/${name}`))
    if (!there) missing.push(packages[name] ?? name)
  }
  if (!(await findBrowser())) missing.push('chromium')
  if (!(await findFirefox())) missing.push('firefox-esr')
  return missing
}
