/*
 * Local Network Access (https://wicg.github.io/local-network-access/): a page of the public network reaches a
 * gateway on this machine, or on the user's network, if the user permits it. A browser asks them when the
 * page fetches something there. The SDK fetches only after a gesture, in a document, so that users who only
 * look at a page are not asked.
 *
 * A browser does not reveal in which network a page is, so host names decide: a page whose host is this
 * machine needs no permission, and neither does a page at a private address for another private address.
 */
import type { Barred, Fetch } from './call.js'

/** Where a gateway is, in the terms of `fetch`. */
export type AddressSpace = 'loopback' | 'local'

// How long a user may take to answer.
const promptMs = 120_000

/** The permissions that were queried: requests sent while a page closes cannot wait for them. */
const permissions = new Map<AddressSpace, PermissionStatus | undefined>()
/** Whether a request waits for a gesture. */
let wanted = false

/**
 * Returns the address space that a host name shows. Names other than addresses show one only for this machine
 * and for `.local`.
 */
export function spaceOf(host: string): AddressSpace | undefined {
  if (/^(127(\.\d+){3}|\[::1]|(.+\.)?localhost)$/.test(host)) return 'loopback'
  const local =
    /^((10|192\.168|169\.254|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))(\.\d+){2,3}|\[f[cd]..:.*|\[fe[89ab].:.*|.+\.local)$/
  return local.test(host) ? 'local' : undefined
}

/** Reports whether an address space is more private than this page. */
function isForeign(space: AddressSpace): boolean {
  const { origin, location } = globalThis
  if (location.protocol === 'file:') return false
  const own = origin === 'null' ? undefined : spaceOf(new URL(origin).hostname)
  return !own || (own === 'local' && space === 'loopback')
}

/** Returns the permission that a page needs; undefined if the browser has none. */
async function permissionFor(space: AddressSpace): Promise<PermissionStatus | undefined> {
  for (const name of [`${space}-network`, 'local-network-access']) {
    try {
      return await navigator.permissions.query({ name: name as PermissionName })
    } catch {
      // The name of another version.
    }
  }
  return undefined
}

/** Sends a request to a gateway that may be in a more private network than this page. */
export async function reach(
  fetch: Fetch,
  options: { targetAddressSpace?: AddressSpace | undefined },
  url: string,
  init: RequestInit,
): Promise<Response> {
  const space = options.targetAddressSpace ?? spaceOf(new URL(url).hostname)
  // Without a secure context a browser permits nothing, and asks nobody.
  if (!space || !globalThis.isSecureContext || !isForeign(space)) return fetch(url, init)
  if (!permissions.has(space)) permissions.set(space, await permissionFor(space))
  const permission = permissions.get(space)
  if (!permission) return fetch(url, init)
  const asks = permission.state === 'prompt'
  const place = space === 'loopback' ? 'this machine' : 'devices on the local network'
  const inDocument = !!globalThis.document
  wanted = asks && inDocument && !globalThis.navigator?.userActivation?.isActive
  const needed = inDocument
    ? `The browser asks whether this page may reach ${place}. Call serve in a click, so that it can.`
    : `A page may reach ${place} once its person permits it. A Worker cannot ask: call serve in its page first.`
  if (wanted || (asks && !inDocument)) throw barred('permission_needed', needed)
  const late = new AbortController()
  const timer = asks && setTimeout(() => late.abort(), promptMs)
  try {
    const signal = asks ? late.signal : init.signal!
    return await fetch(url, { ...init, targetAddressSpace: space, signal } as RequestInit)
  } catch (cause) {
    const state = (await permissionFor(space))?.state
    if (state === 'denied') {
      const denied = `The browser does not let this page reach ${place}. Permit it in the settings of this site; a frame needs allow="${space}-network", too.`
      throw barred('permission_denied', denied, cause)
    }
    throw state === 'prompt' ? barred('permission_needed', needed, cause) : cause
  } finally {
    clearTimeout(timer as number | undefined)
  }
}

function barred(why: Barred['barred'], detail: string, cause?: unknown): TypeError & Barred {
  return Object.assign(new TypeError(detail, { cause }), { barred: why, detail })
}

/**
 * Calls a function when a queried permission changes, and on a gesture that may ask for one, until the signal
 * aborts.
 */
export function followPermissions(then: () => void, signal: AbortSignal): void {
  for (const permission of permissions.values()) {
    permission?.addEventListener('change', then, { signal })
  }
  for (const type of ['click', 'keydown']) {
    globalThis.document?.addEventListener(type, () => wanted && then(), { signal })
  }
}
