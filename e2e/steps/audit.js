// Whether what this repository depends on has known vulnerabilities. Who publishes them cannot be asked everywhere:
// where not, a check passes, and says that it was none.
import { say, write } from './output.js'
import { start } from './run.js'

// How long the service that publishes vulnerabilities may take to answer.
const patienceMs = 20_000
// The tools are ended after this: a machine that is slow, or a server that drips, makes nobody wait for ever.
const longMs = 300_000

/**
 * Looks for vulnerable code that Go packages call.
 * @param {string[]} packages
 */
export async function auditGo(packages = ['./...'], mostMs = longMs) {
  const what = 'the Go modules'
  const db = process.env.GOVULNDB || 'https://vuln.go.dev'
  const missing = await reach(`${db}/index/modules.json.gz`, mostMs)
  if (missing) return unchecked(what, missing)
  const args = ['tool', 'govulncheck', '-db', db, ...packages]
  const { code, late, stdout } = await look('go', args, mostMs)
  if (late) return unchecked(what, `govulncheck took longer than ${mostMs / 1000} s`)
  write(stdout)
  // 3 says that there are some, and everything else but 0 that it could not look.
  if (code !== 0) throw new Error(`govulncheck: exit code ${code}`)
}

/** Looks for packages of npm with vulnerabilities that are high or critical; lesser ones are shown. */
export async function auditNPM(mostMs = longMs) {
  const what = 'the npm packages'
  const bounds = ['--fetch-retries=0', `--fetch-timeout=${patienceMs}`]
  const args = ['audit', '--json', '--audit-level=high', ...bounds]
  const { code, late, stdout } = await look('npm', args, mostMs)
  if (late) return unchecked(what, `npm audit took longer than ${mostMs / 1000} s`)
  const { vulnerabilities, message } = parsed(stdout)
  // A registry that was not reached, or has no audits, leaves a message in place of a report.
  if (!vulnerabilities && message) return unchecked(what, message)
  if (!vulnerabilities) throw new Error(`npm audit: exit code ${code} and no report`)
  for (const { name, severity, range } of Object.values(vulnerabilities)) {
    say(`${severity}: ${name} ${range}`)
  }
  if (code !== 0) throw new Error('npm audit: there are vulnerabilities')
}

async function look(command, args, mostMs) {
  const chunks = []
  const stdio = ['ignore', 'pipe', 'inherit']
  const ended = await start(command, args, { stdio, onData: (chunk) => chunks.push(chunk), mostMs })
  return { ...ended, stdout: Buffer.concat(chunks).toString() }
}

/** Says why a URL cannot be had; nothing where it can. */
async function reach(url, mostMs) {
  try {
    const { ok, status } = await fetch(url, {
      method: 'HEAD',
      signal: AbortSignal.timeout(Math.min(patienceMs, mostMs)),
    })
    if (!ok) return `${url} answers ${status}`
  } catch (e) {
    return `${url}: ${e.cause?.message ?? e.message}`
  }
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

function unchecked(what, why) {
  const line = `NOT CHECKED for vulnerabilities: ${what}: ${why}`
  say(line)
  return { passed: 0, unchecked: [line] }
}
