import { loadMs } from './bounds.js'
import { call, type Fetch } from './call.js'
import { ReverseHttpError } from './error.js'
import { Pause } from './pause.js'
import { Session, type ConnectOptions, type Streams } from './session.js'
import type { ClaimAnswer, ClaimRequest, Discovery } from './envelope.js'

/** Makes a claim, or takes it back; either way with a new session. */
export type Claiming = (wish: ClaimRequest, signal?: AbortSignal) => Promise<Session>

/** Asks the gateway of this origin where claims are made. */
export async function discover(
  fetch: Fetch,
  origin: string | URL,
  options: ConnectOptions,
  key?: string,
  signal?: AbortSignal,
): Promise<Claiming> {
  const { href } = new URL('/.well-known/reversehttp', origin)
  const found = await call<Discovery>(fetch, href, { method: 'GET', signal })
  if (found?.version !== 1) {
    throw new ReverseHttpError('unexpected', `${href}: not version 1`)
  }
  const { claims, transports } = found
  const pause = new Pause()
  let streams: Streams | undefined
  let loading: unknown
  // Where it cannot be loaded (a policy, a bundler), polls are for batches.
  const load = (): void => {
    loading = import('./stream.js')
      .then((m) => (streams = m))
      .catch(() => {})
      .then(() => {
        loading = false
        pause.end()
      })
  }
  if (transports.includes('ndjson')) load()
  return async (wish, signal) => {
    const claimed = await call<ClaimAnswer>(fetch, claims, {
      method: 'POST',
      bearer: key,
      json: JSON.stringify(wish),
      signal,
    })
    if (!claimed?.limits) {
      throw new ReverseHttpError('unexpected', `${claims}: no claim`)
    }
    if (claimed.link && !streams) load()
    if (loading) await pause.wait(loadMs)
    return new Session(fetch, options, claimed, () => streams, transports)
  }
}
