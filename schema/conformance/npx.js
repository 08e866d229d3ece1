#!/usr/bin/env node
// npx reversehttp-conformance URL: runs reversehttp conformance, the command of the package reversehttp.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const command = dirname(createRequire(import.meta.url).resolve('reversehttp/package.json'))
process.argv.splice(2, 0, 'conformance')
await import(pathToFileURL(join(command, 'bin/reversehttp.js')))
