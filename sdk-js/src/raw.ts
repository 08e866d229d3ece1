/*
 * An answer raw: much content, in one request that lasts instead of a part after the other: no base64, no wait for
 * an answer to each. There are two kinds:
 *
 *   a Blob    content of known length. Browsers send it several times as fast as anything else
 *   a stream  content whose first piece is full, so that it will not be silent for long, where a request may
 *             stream its content: in Node, and in Chromium over HTTP/2
 *
 * What is between may not let it pass: nginx takes 1 MiB unless told otherwise. Then the visitor has nothing of
 * it yet, and it goes in parts after all: a Blob can be read again, and of a stream the beginning is kept
 * until one got through. What did not pass is not tried again in a session.
 */
import { rawBlob } from './raw-blob.js'
import { rawStream } from './raw-stream.js'
import type { Way } from './parts.js'
import type { Sending } from './session.js'

/** Sends the content of an answer raw where that is worth it and can be, else by the way of parts. */
export function raw(of: Sending): Way {
  const stream = rawStream(of)
  return (piece, more) => (piece instanceof Blob ? rawBlob(of, piece) : stream(piece, more))
}
