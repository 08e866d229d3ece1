#!/usr/bin/env node
// npx reversehttp: starts the command, a program that an optional package has for each platform.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'

const name = `@reversehttp/${process.platform}-${process.arch}`
const program = process.platform === 'win32' ? 'reversehttp.exe' : 'reversehttp'

function find() {
  try {
    return createRequire(import.meta.url).resolve(`${name}/bin/${program}`)
  } catch {
    console.error(
      `reversehttp: the package ${name} is not installed, which has the command for this platform. ` +
        'If npm left it out, install without --omit=optional; in a checkout: go install ./sdk-go/cmd/reversehttp',
    )
    process.exit(1)
  }
}

// A second signal ends the command at once, so each must reach it only once. A terminal sends Ctrl-C to
// everything that runs in it, including the command. Elsewhere the command has its own process group, and
// this program forwards signals.
const onTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)
const child = spawn(find(), process.argv.slice(2), {
  stdio: 'inherit',
  detached: !onTerminal && process.platform !== 'win32',
})
for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM']) {
  process.on(signal, () => {
    if (!onTerminal || signal === 'SIGTERM') child.kill(signal)
  })
}

child.on('error', (e) => {
  console.error(`reversehttp: ${e.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => {
  if (!signal) process.exit(code)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
})
