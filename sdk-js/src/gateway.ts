import { loadMs } from './bounds.js'
import { call, type Fetch } from './call.js'
import { ReverseHttpError } from './error.js'
import { originOf } from './origin.js'
import { Pause } from './pause.js'
import { Session, type ConnectOptions, type Ways } from './session.js'
import type { ClaimAnswer, ClaimRequest, Discovery } from './envelope.js'

/** What a program asks of a claim. Undefined members are left out. */
export type Wish = { [K in keyof ClaimRequest]: ClaimRequest[K] | undefined }

const isNear = /\/\/(\d|\[|.*local)/

/** Makes or reclaims a claim, in either case with a new session. */
export type Claiming = (wish: Wish, signal?: AbortSignal, waitMs?: number) => Promise<Session>

/** Reads the discovery document of the gateway at this origin. */
export async function discover(
  origin: string | URL,
  options: ConnectOptions,
  signal?: AbortSignal,
  waitMs?: number,
): Promise<Claiming> {
  const fetch: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init))
  const page =
    'addEventListener' in globalThis ? import('./page.js').catch(() => undefined) : undefined
  // A gateway that looks local is asked by way of local-network.ts, which is loaded with the module for
  // pages.
  const near = !options.fetch && (options.targetAddressSpace || isNear.test(`${origin}`))
  let { href } = new URL('/.well-known/reversehttp', origin)
  let found: Discovery | undefined
  // Requests with a token or key are sent to the gateway's origin only, and follow no redirects.
  const ask: Fetch = async (url, init) => {
    if (originOf(url) !== originOf(href)) {
      throw new ReverseHttpError('unexpected', `${href}: gives ${url}`)
    }
    const of: RequestInit = { ...init, redirect: found ? 'manual' : 'follow' }
    const loaded = near && (await page)
    return loaded ? loaded.reach(fetch, options, url, of) : fetch(url, of)
  }
  // Discovery needs no secret, so a redirect may lead to another document.
  found = await call<Discovery>(ask, href, {
    method: 'GET',
    signal,
    waitMs,
    take: (response) => void (href = response.url || href),
  })
  if (found?.version !== 1) {
    throw new ReverseHttpError('unexpected', `${href}: not version 1`)
  }
  const { claims, transports } = found
  const ways: Ways = { ...options, ask, at: href, transports, page }
  const pause = new Pause()
  // If it cannot be loaded (because of a policy, or a bundler), polls ask for batches.
  const streams = import('./stream.js').then((m) => void (ways.streams = m)).catch(() => {})
  const loading = Promise.all([streams, page])
  return async (wish, signal, waitMs) => {
    const claimed = await call<ClaimAnswer>(ask, claims, {
      method: 'POST',
      shown: options.key,
      json: JSON.stringify(wish),
      signal,
      waitMs,
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
