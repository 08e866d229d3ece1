/**
 * The client of OAuth 2.1 for one sign-in: authorization code (RFC 6749, 4.1) with PKCE (RFC 7636) and, if
 * the provider supports it, issuer identification (RFC 9207).
 */

export const waitMs = 600_000
const answerMs = 30_000
const mostBytes = 256 * 1024

/**
 * @typedef {object} Provider
 * @property {string} issuer
 * @property {string} authorization the URL of its authorization endpoint
 * @property {string} token the URL of its token endpoint
 * @property {boolean} namesItself whether its answers contain `iss`
 *
 * @typedef {object} Client
 * @property {string} id
 * @property {string} secret empty for a public client
 * @property {string} scope
 * @property {string} redirect the URL that receives the answer
 *
 * @typedef {object} Flow a sign-in that waits for its answer
 * @property {Provider} provider
 * @property {Client} client
 * @property {string} url where the person signs in
 * @property {string} state
 * @property {string} verifier
 * @property {number} endsAt in milliseconds
 */

/**
 * Asks an issuer for its endpoints, by OpenID Connect Discovery or else by RFC 8414.
 * @param {string} issuer
 * @param {typeof globalThis.fetch} [fetch]
 * @returns {Promise<Provider>}
 */
export async function discover(issuer, fetch = globalThis.fetch) {
  const { origin, pathname } = webURL(issuer)
  const path = pathname.replace(/\/$/, '')
  const places = [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ]
  let why = ''
  for (const at of places) {
    try {
      const { status, content } = await ask(fetch, at)
      const { issuer: named, ...found } = /** @type {any} */ (content)
      if (status !== 200) throw new Error(`it answers ${status}`)
      // RFC 8414, 3.3: otherwise one provider could pass itself off as another.
      if (named !== issuer && named !== `${issuer}/`) throw new Error(`it names itself ${named}`)
      return {
        issuer: named,
        authorization: webURL(found.authorization_endpoint).href,
        token: webURL(found.token_endpoint).href,
        namesItself: found.authorization_response_iss_parameter_supported === true,
      }
    } catch (e) {
      why = `${at}: ${/** @type {Error} */ (e).message}`
    }
  }
  throw new Error(`The provider names no page to sign in. ${why}`)
}

/**
 * Begins a sign-in.
 * @param {Provider} provider
 * @param {Client} client
 * @param {number} [now] in milliseconds
 * @returns {Promise<Flow>}
 */
export async function begin(provider, client, now = Date.now()) {
  if (!crypto.subtle) throw new Error('Browsers have Web Crypto on https and on localhost only.')
  const state = random()
  const verifier = random()
  const url = new URL(provider.authorization)
  const parameters = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: client.redirect,
    state,
    code_challenge: await challengeOf(verifier),
    code_challenge_method: 'S256',
    ...(client.scope && { scope: client.scope }),
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return { provider, client, url: url.href, state, verifier, endsAt: now + waitMs }
}

/**
 * Reads the provider's answer: returns a code, why there is none, or undefined if it does not answer this
 * sign-in.
 * @param {Flow} flow
 * @param {URLSearchParams} answer the query of the redirect
 * @param {number} [now] in milliseconds
 * @returns {{ code: string } | { refused: string } | undefined}
 */
export function answerTo({ provider, state, endsAt }, answer, now = Date.now()) {
  if (now > endsAt || answer.get('state') !== state) return undefined
  const iss = answer.get('iss')
  if (iss === null ? provider.namesItself : iss !== provider.issuer) return undefined
  const error = answer.get('error')
  if (error) {
    const more = answer.get('error_description')
    return { refused: `${error}${more ? `: ${more}` : ''}`.slice(0, 500) }
  }
  const code = answer.get('code')
  return code ? { code } : undefined
}

/**
 * Exchanges a code for tokens.
 * @param {Flow} flow
 * @param {string} code
 * @param {typeof globalThis.fetch} [fetch]
 * @returns {Promise<Record<string, unknown>>}
 */
export async function exchange(flow, code, fetch = globalThis.fetch) {
  const { status, content } = await ask(fetch, flow.provider.token, {
    method: 'POST',
    body: new URLSearchParams(exchangeOf(flow, code)),
  })
  const { error, error_description: more, ...tokens } = content
  if (status !== 200 || error) {
    throw new Error(
      `The provider answers ${status}: ${error ?? 'nothing'}${more ? `, ${more}` : ''}`,
    )
  }
  return tokens
}

/**
 * Returns the command that exchanges a code, for providers that allow no page to do it.
 * @param {Flow} flow
 * @param {string} code
 */
export function exchangeCommand(flow, code) {
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`
  const parts = Object.entries(exchangeOf(flow, code)).map(
    ([name, value]) => `--data-urlencode ${quoted(`${name}=${value}`)}`,
  )
  return `curl ${quoted(flow.provider.token)} ${parts.join(' ')}`
}

/**
 * @param {Flow} flow
 * @param {string} code
 * @returns {Record<string, string>}
 */
function exchangeOf({ client, verifier }, code) {
  return {
    grant_type: 'authorization_code',
    code,
    redirect_uri: client.redirect,
    client_id: client.id,
    code_verifier: verifier,
    ...(client.secret && { client_secret: client.secret }),
  }
}

/**
 * Returns the claims of an ID token. It came straight from the provider, whose TLS vouches for it (OpenID
 * Connect Core, 3.1.3.7), so the signature is not checked.
 * @param {unknown} token
 * @returns {Record<string, unknown> | undefined}
 */
export function claimsOf(token) {
  if (typeof token !== 'string') return undefined
  try {
    const [, middle] = token.split('.')
    const bytes = atob(middle.replaceAll('-', '+').replaceAll('_', '/'))
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0))))
  } catch {
    return undefined
  }
}

/**
 * Returns the challenge of a verifier (RFC 7636, 4.2).
 * @param {string} verifier
 */
export async function challengeOf(verifier) {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
  return toBase64URL(new Uint8Array(digest))
}

/** Returns 43 random characters. */
function random() {
  return toBase64URL(crypto.getRandomValues(new Uint8Array(32)))
}

/** @param {Uint8Array} bytes */
function toBase64URL(bytes) {
  const text = btoa(String.fromCharCode(...bytes))
  return text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/**
 * Returns a URL that a browser may open; a provider could otherwise name `javascript:`.
 * @param {unknown} text
 */
function webURL(text) {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw new Error(`${text} is not the URL of a web site.`)
  return url
}

/**
 * Fetches JSON.
 * @param {typeof globalThis.fetch} fetch
 * @param {string} url
 * @param {RequestInit} [init]
 * @returns {Promise<{ status: number, content: Record<string, any> }>}
 */
async function ask(fetch, url, init = {}) {
  const response = await fetch(url, {
    ...init,
    headers: { Accept: 'application/json' },
    credentials: 'omit',
    redirect: init.method ? 'error' : 'follow',
    signal: AbortSignal.timeout(answerMs),
  })
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let size = 0; reader;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    if (size > mostBytes) {
      await reader.cancel()
      throw new Error(`${url} answers with more than ${mostBytes} bytes.`)
    }
    text += decoder.decode(value, { stream: true })
  }
  const content = parsed(text)
  return { status: response.status, content }
}

/** @param {string} text */
function parsed(text) {
  try {
    const content = JSON.parse(text)
    return content !== null && typeof content === 'object' ? content : {}
  } catch {
    return {}
  }
}
