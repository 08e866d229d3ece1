/*
 * Requests to the URLs of a gateway carry a token, and their answers are passed on. A gateway that could name any URL
 * could read the program's network, so URLs must be on the origin of its discovery document. gateway.ts checks each
 * again before a request. This check reports a foreign URL early, and covers links, which do not use fetch.
 */
import { ReverseHttpError } from './error.js'
import { originOf } from './origin.js'
import type { ClaimAnswer } from './envelope.js'

/** Throws if a URL of a claim is on another origin than the discovery document. */
export function vet(
  { claim, session, requests, responses, link, exchanges }: ClaimAnswer,
  at: string,
): void {
  for (const url of [claim, session, requests, responses, link, exchanges]) {
    // A handshake is sent to the http: URL that corresponds to the ws: one.
    if (url && originOf(url.replace(/^ws/, 'http')) !== originOf(at)) {
      throw new ReverseHttpError('unexpected', `${at}: gives ${url}`)
    }
  }
}
