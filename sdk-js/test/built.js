// The SDK as npm packs it, built again if its sources are newer.
import { execFileSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('../', import.meta.url))
const changedMs = (path) => statSync(here + path, { throwIfNoEntry: false })?.mtimeMs ?? 0
const sources = ['bundle.go', 'pack/main.go', ...readdirSync(`${here}src`).map((f) => `src/${f}`)]

/** The URL of the module. */
export const module = new URL('../dist/index.js', import.meta.url).href

if (changedMs('dist/index.js') <= Math.max(...sources.map(changedMs))) {
  execFileSync('go', ['run', './pack'], { cwd: here, stdio: 'inherit' })
}

export const { serve, ReverseHttpError } = await import(module)

/** Imports a module of helpers, such as `files`, as the package exports it. */
export const helper = (name) => import(new URL(`../dist/${name}.js`, import.meta.url).href)
