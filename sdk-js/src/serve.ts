import { crowdedMs } from './bounds.js'
import { Claim } from './claim.js'
import { ReverseHttpError } from './error.js'
import { discover, type Wish } from './gateway.js'
import { Memory, pageStorage } from './storage.js'
import type { Handler } from './exchange.js'
import type { ServeOptions } from './options.js'

/**
 * Claims a label and answers its visitors with the handler until the claim is closed. Rejects with a
 * ReverseHttpError if the gateway cannot be reached or refuses.
 */
export async function serve(handler: Handler, options: ServeOptions = {}): Promise<Claim> {
  const {
    label,
    token,
    lease,
    timeoutMs,
    redeliver,
    inspect,
    policy,
    domain,
    signal,
    storage = pageStorage(),
  } = options
  const origin = options.gateway ?? globalThis.location?.origin
  if (!origin || origin === 'null') throw new TypeError('no gateway')
  const memory = new Memory(storage, origin, label)
  // Browsers speak HTTP/1.1 only with http: URLs, where tabs share six connections and each holds one with
  // its poll: a request of the seventh tab waits silently.
  const crowded = globalThis.location && /^http:/i.test(origin as string)
  const waitMs = crowded ? crowdedMs : undefined
  try {
    signal?.throwIfAborted()
    const claiming = await discover(origin, options, signal, waitMs)
    const kept = token ? {} : memory.recall()
    // JSON omits undefined members.
    const wish: Wish = {
      label,
      token,
      ...kept,
      lease,
      timeoutMs,
      redeliver,
      inspect,
      policy,
      domain,
    }
    const session = await claiming(wish, signal, waitMs).catch((e: ReverseHttpError) => {
      if (label || !kept.label || e.code !== 'label_taken') throw e
      // The label was remembered, not asked for, and is taken by now: a new one will do.
      memory.forget()
      wish.label = wish.token = undefined
      return claiming(wish, signal, waitMs)
    })
    memory.keep(session.claimed)
    // From here on the label is ours, whether asked for or picked by the gateway.
    wish.label = session.claimed.label
    wish.token = session.claimed.token
    return new Claim(handler, claiming, session, wish, memory, options)
  } catch (e) {
    memory.release()
    signal?.throwIfAborted()
    // An AbortError shows that the request waited too long.
    const late = ((e as Error).cause as Error | undefined)?.name === 'AbortError'
    if (!waitMs || !late) throw e
    const detail = 'Other tabs may hold six connections.'
    throw new ReverseHttpError('network', `${origin}: ${detail}`, { detail, cause: e })
  }
}
