import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contentOf } from '../vectors.js'

/**
 * Writes the answers of runtimes to a file: pairs of a name, which requests have in the field Vector, and an answer as in
 * the vectors. The shell gets the answers as they are written; the others get all content in base64.
 */
export async function writeAnswers(pairs) {
  const asWritten = Object.fromEntries(pairs)
  const inBase64 = {}
  for (const [name, { status, headers, ...content }] of pairs) {
    inBase64[name] = { status, headers, bodyBase64: contentOf(content).toString('base64') }
  }
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-answers-'))
  const path = join(dir, 'answers.json')
  await writeFile(path, JSON.stringify(inBase64))
  return { asWritten, inBase64, path, remove: () => rm(dir, { recursive: true }) }
}
