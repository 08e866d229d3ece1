/**
 * Libraries for the code of the playground. Its worker loads nothing, so imported libraries are sent with the
 * code, as text.
 */

/** @type {Record<string, string>} the path of each by the name of its package */
export const libraries = {
  hono: '/vendor/hono.js',
  '@modelcontextprotocol/server': '/vendor/mcp.js',
}

const statement = /^[ \t]*import\s*\{([^}]*)\}\s*from\s*(['"])([^'"\n]+)\2[ \t]*;?/gm

/**
 * Returns the code with its library imports as constants, line for line, and the names of the packages.
 * @param {string} code
 */
export function withoutImports(code) {
  /** @type {Set<string>} */
  const names = new Set()
  const text = code.replace(statement, (whole, list, quote, name) => {
    if (!Object.hasOwn(libraries, name)) {
      const known = Object.keys(libraries).join(' and ')
      throw new Error(`this page has no ${name}, only ${known}`)
    }
    names.add(name)
    const constants = list.replace(/\bas\b/g, ':').replace(/\n/g, ' ')
    const lines = '\n'.repeat(whole.split('\n').length - 1)
    return `const {${constants}} = playgroundLibraries[${JSON.stringify(name)}]${lines}`
  })
  return { text, names: [...names] }
}

/**
 * Returns a script that makes a module of /vendor/ available to the code.
 * @param {string} name of the package
 * @param {string} source
 */
export function asScript(name, source) {
  const exported = /export\s*\{([^}]*)\};?\s*$/.exec(source)
  if (!exported) throw new Error(`${name} exports nothing`)
  const members = exported[1].split(',').map((one) => {
    const [inside, outside = inside] = one.trim().split(/\s+as\s+/)
    return `${outside}: ${inside}`
  })
  const inside = source.slice(0, exported.index)
  return `;(self.playgroundLibraries ??= {})[${JSON.stringify(name)}] = (() => {${inside}\nreturn { ${members.join(', ')} }})();\n`
}
