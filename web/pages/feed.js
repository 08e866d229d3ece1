/** Feeds: Atom, RSS and JSON Feed as titles and links, and which hub a feed names. */

export const mostEntries = 20
const mostBytes = 512 * 1024
const mostTitle = 300

/**
 * @typedef {object} Entry
 * @property {string} title
 * @property {string} link the URL of a web page, or empty
 */

/**
 * Returns the title and the first entries of a feed; undefined where it is none that is known.
 * @param {Uint8Array} content
 * @param {typeof import('/vendor/xml.js').XMLParser} XMLParser
 * @returns {{ title: string, entries: Entry[] } | undefined}
 */
export function readFeed(content, XMLParser) {
  if (content.length > mostBytes) return undefined
  const text = new TextDecoder().decode(content)
  try {
    return text.trimStart().startsWith('{') ? fromJSON(JSON.parse(text)) : fromXML(text, XMLParser)
  } catch {
    return undefined
  }
}

/** @param {any} feed */
function fromJSON({ title, items }) {
  if (!Array.isArray(items)) return undefined
  const entries = items.slice(0, mostEntries).map((item) => ({
    title: lineOf(item?.title ?? item?.content_text ?? item?.summary),
    link: linkOf(item?.url),
  }))
  return { title: lineOf(title), entries }
}

/**
 * @param {string} text
 * @param {typeof import('/vendor/xml.js').XMLParser} XMLParser
 */
function fromXML(text, XMLParser) {
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    removeNSPrefix: true,
    parseTagValue: false,
    isArray: (name) => ['entry', 'item', 'link'].includes(name),
  })
  const { feed, rss, RDF } = parser.parse(text)
  const of = feed ?? rss?.channel ?? RDF?.channel
  if (!of) return undefined
  const items = feed?.entry ?? rss?.channel.item ?? RDF?.item ?? []
  const entries = items.slice(0, mostEntries).map((/** @type {any} */ item) => {
    const links = item.link ?? []
    const best = links.find((/** @type {any} */ l) => (l['@rel'] ?? 'alternate') === 'alternate')
    return { title: lineOf(item.title ?? item.summary), link: linkOf(best?.['@href'] ?? links[0]) }
  })
  return { title: lineOf(of.title), entries }
}

/** @param {any} text a text, or an element with attributes */
function lineOf(text) {
  const line = `${text?.['#text'] ?? (typeof text === 'string' ? text : '')}`
  return line.replace(/\s+/g, ' ').trim().slice(0, mostTitle)
}

/** @param {unknown} link */
function linkOf(link) {
  const url = typeof link === 'string' && URL.canParse(link) ? new URL(link) : undefined
  return url && /^https?:$/.test(url.protocol) ? url.href : ''
}

/**
 * Returns the hub of a feed, and what the feed calls itself (section 4 of WebSub): from Link fields,
 * and otherwise from elements of its content, HTML or XML.
 * @param {string | null} field
 * @param {string} content
 * @param {string} base the URL that was asked
 */
export function namedBy(field, content, base) {
  /** @type {Record<string, string>} */
  const found = {}
  const note = (/** @type {string} */ rels, /** @type {string | undefined} */ href) => {
    for (const rel of rels.toLowerCase().split(/\s+/)) {
      if (href === undefined || !['hub', 'self'].includes(rel) || !URL.canParse(href, base))
        continue
      const url = new URL(href, base)
      if (/^https?:$/.test(url.protocol)) found[rel] ??= url.href
    }
  }
  for (const [, href, parameters] of (field ?? '').matchAll(/<([^<>]*)>([^<]*)/g)) {
    note(/;\s*rel\s*=\s*"?([^";,]+)/i.exec(parameters)?.[1] ?? '', href)
  }
  if (!found.hub) {
    for (const [, attributes] of content
      .slice(0, mostBytes)
      .matchAll(/<(?:atom:)?link\b([^<>]*)>/gi)) {
      const of = (/** @type {string} */ name) =>
        new RegExp(`\\s${name}\\s*=\\s*["']([^"']*)`, 'i')
          .exec(attributes)?.[1]
          .replaceAll('&amp;', '&')
      note(of('rel') ?? '', of('href'))
    }
  }
  return { hub: found.hub, topic: found.self ?? base }
}
