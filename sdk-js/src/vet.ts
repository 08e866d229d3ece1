/*
 * What a gateway gives is asked with a token, and what it answers is handed on: one that could name any URL would read
 * the network of whoever runs the program. So URLs are on the origin of its discovery document. Each is looked at once
 * more when it is asked (gateway.ts); here a program hears of it at once, and links are looked at, which are not asked by fetch.
 */
import { ReverseHttpError } from './error.js'
import { originOf } from './origin.js'
import type { ClaimAnswer } from './envelope.js'

/** Throws where a URL of a claim is on another origin than the discovery document. */
export function vet(
  { claim, session, requests, responses, link, exchanges }: ClaimAnswer,
  at: string,
): void {
  for (const url of [claim, session, requests, responses, link, exchanges]) {
    // A handshake is sent to the http: URL that is like the ws: one.
    if (url && originOf(url.replace(/^ws/, 'http')) !== originOf(at)) {
      throw new ReverseHttpError('unexpected', `${at}: gives ${url}`)
    }
  }
}
