import { loadMs } from './bounds.js'
import { call, type Fetch } from './call.js'
import { ReverseHttpError } from './error.js'
import { originOf } from './origin.js'
import { Pause } from './pause.js'
import { Session, type ConnectOptions, type Ways } from './session.js'
import type { ClaimAnswer, ClaimRequest, Discovery } from './envelope.js'

/** What a program wants of a claim. Undefined members are left out. */
export type Wish = { [K in keyof ClaimRequest]: ClaimRequest[K] | undefined }

/** Makes a claim, or takes it back; either way with a new session. */
export type Claiming = (wish: Wish, signal?: AbortSignal) => Promise<Session>

/** Asks the gateway of this origin where claims are made. */
export async function discover(
  fetch: Fetch,
  origin: string | URL,
  options: ConnectOptions,
  signal?: AbortSignal,
): Promise<Claiming> {
  // This needs no secret, so a redirect may lead to another document.
  let { href } = new URL('/.well-known/reversehttp', origin)
  const found = await call<Discovery>(fetch, href, {
    method: 'GET',
    signal,
    take: (response) => void (href = response.url || href),
  })
  if (found?.version !== 1) {
    throw new ReverseHttpError('unexpected', `${href}: not version 1`)
  }
  // Requests with a token or key go to the gateway's own origin only, and follow no redirects.
  const own: Fetch = (url, init) => {
    if (originOf(url) !== originOf(href)) {
      throw new ReverseHttpError('unexpected', `${href}: gives ${url}`)
    }
    return fetch(url, { ...init, redirect: 'manual' })
  }
  const { claims, transports } = found
  const ways: Ways = { ...options, ask: own, at: href, transports }
  const pause = new Pause()
  // Where it cannot be loaded (a policy, a bundler), polls are for batches.
  const streams = import('./stream.js').then((m) => void (ways.streams = m)).catch(() => {})
  if ('addEventListener' in globalThis) ways.page = import('./page.js').catch(() => undefined)
  const loading = Promise.all([streams, ways.page])
  return async (wish, signal) => {
    const claimed = await call<ClaimAnswer>(own, claims, {
      method: 'POST',
      shown: options.key,
      json: JSON.stringify(wish),
      signal,
    })
    if (!claimed?.limits) {
      throw new ReverseHttpError('unexpected', `${href}: no claim`)
    }
    await Promise.race([loading, pause.wait(loadMs)])
    pause.end()
    ways.streams?.vet(claimed, href)
    return new Session(ways, claimed)
  }
}
