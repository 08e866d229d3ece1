// Child processes. Each leads a process group, so that what it started ends with it and nothing else does.
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { keptOutput } from './output.js'

/** The root of the repository; every command runs there. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

const running = new Set()

/** Runs a command that writes to our output; rejects unless it succeeds. */
export function run(command, ...args) {
  return runWith({}, command, ...args)
}

/** Runs a command as run does, with more of an environment. */
export async function runWith(env, command, ...args) {
  const { code } = await start(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env })
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')}: ${ended(code)}`)
}

/** Runs a command and gives its output and exit code; its errors are shown. */
export async function capture(command, ...args) {
  const chunks = []
  const { code } = await start(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    onData: (chunk) => chunks.push(chunk),
  })
  return { code, stdout: Buffer.concat(chunks).toString() }
}

/**
 * Runs a command, calls onData with what it writes, and waits for its end. After mostMs it is ended, and what it
 * started too, and said to be late.
 */
export function start(command, args, { stdio, onData, env, mostMs }) {
  return new Promise((resolve, reject) => {
    const kept = keptOutput()
    const piped = kept ? stdio.map((s) => (s === 'inherit' ? 'pipe' : s)) : stdio
    const options = { cwd: root, stdio: piped, env: { ...process.env, ...env }, detached: true }
    const child = spawn(command, args, options)
    running.add(child)
    let late = false
    const timer = mostMs && setTimeout(() => (late = kill(child.pid, 'SIGKILL')), mostMs)
    if (onData) child.stdout.on('data', onData)
    else child.stdout?.on('data', (chunk) => kept.write(chunk))
    child.stderr?.on('data', (chunk) => kept.write(chunk))
    child.on('error', (e) => {
      clearTimeout(timer)
      running.delete(child)
      reject(new Error(e.code === 'ENOENT' ? `there is no ${command} here` : e.message))
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      running.delete(child)
      resolve({ code: code ?? signal, late })
    })
  })
}

function ended(code) {
  return typeof code === 'number' ? `exit code ${code}` : `ended by ${code}`
}

/** Ends all children, and then this process. */
async function end(signal) {
  signalAll('SIGTERM')
  for (let i = 0; running.size && i < 30; i++) await sleep(100)
  signalAll('SIGKILL')
  process.exit(signal === 'SIGINT' ? 130 : 143)
}

function signalAll(signal) {
  for (const { pid } of running) kill(pid, signal)
}

/** Signals the process group of a child, and reports whether it was there. */
function kill(pid, signal) {
  try {
    return process.kill(-pid, signal)
  } catch {
    return false // It ended meanwhile.
  }
}

process.once('SIGINT', end)
process.once('SIGTERM', end)
