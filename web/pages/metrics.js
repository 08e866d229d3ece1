/** Parses the Prometheus text format, as far as a page needs it. */

/**
 * @typedef {object} Sample
 * @property {string} name
 * @property {Record<string, string>} labels
 * @property {number} value
 */

/**
 * Parses the samples of a text, and skips other lines.
 * @param {string} text
 * @returns {Sample[]}
 */
export function samplesOf(text) {
  const samples = []
  for (const line of text.split('\n')) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line)
    if (!found || Number.isNaN(Number(found[3]))) continue
    const pairs = (found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)
    const labels = Object.fromEntries([...pairs].map(([, name, value]) => [name, unescaped(value)]))
    samples.push({ name: found[1], labels, value: Number(found[3]) })
  }
  return samples
}

/**
 * Returns the value of the sample without labels, or undefined.
 * @param {Sample[]} samples
 * @param {string} name
 */
export function gauge(samples, name) {
  return samples.find((s) => s.name === name)?.value
}

/** @param {string} value */
function unescaped(value) {
  return value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))
}
