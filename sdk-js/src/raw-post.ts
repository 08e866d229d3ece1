import type { Sending } from './session.js'
import type { Result } from './envelope.js'

// The answer comes when the visitor has all of it. As long as a timer can wait.
const waitMs = 0x7fff_ffff

/** Sends all that follows the head of an answer in one request. */
export function postRaw(of: Sending, init: RequestInit): Promise<Result | undefined> {
  const { session, request, signal } = of
  return session.call<Result>('POST', request.responseUrl, {
    headers: { 'Content-Type': 'application/octet-stream' },
    init,
    signal,
    waitMs,
  })
}
