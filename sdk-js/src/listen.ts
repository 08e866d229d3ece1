/*
 * Polls that listen: their answer is a stream, and carries each message when it comes.
 *
 *   asked    no byte yet. A gateway sends one at once, so silence means that something between keeps
 *            the stream back: a batch is asked for instead, and nobody is told of trouble
 *   begun    lines come; a blank one says that the gateway is there
 *   dead     no line for longer than a gateway is silent: a poll that failed
 *
 * After the first and the last, batches are asked for until the session or some minutes are over.
 */
import { onAbort } from './abort.js'
import { mostAnswer, slackMs } from './bounds.js'
import { mostInline, reader } from './messages.js'
import { patience } from './patience.js'
import type { Heard, Session } from './session.js'
import type { Batch } from './envelope.js'

// Where none came through yet, and where one did: what is between passes them, and is slow.
const firstByteMs = 4_000
const nextByteMs = 10_000
const batchesMs = 300_000
// Of a gateway that does not tell.
const defaultHeartbeatSeconds = 15
// A line in the framed form, whose content is beside it.
const framedLine = 262_144

/** Those to which a stream came through. */
const passed = new WeakSet<Session>()

/** When each session may ask for streams again, on the clock of performance.now(). */
const streamsFromMs = new WeakMap<Session, number>()

/** Polls once, for a stream where there was one or it may be tried. Gives what Session.batch gives; what a stream brought is in no batch. */
export async function listen(
  session: Session,
  waitSeconds: number,
  signal: AbortSignal,
  heard: Heard,
): Promise<Batch | undefined> {
  const { heartbeatSeconds = defaultHeartbeatSeconds } = session.claimed.limits
  const askedMs = performance.now()
  const mayStream = session.ways.transports.includes('ndjson')
  if (!mayStream || askedMs < (streamsFromMs.get(session) ?? 0))
    return session.batch(waitSeconds, signal)
  const mostMs = passed.has(session) ? nextByteMs : firstByteMs
  let batches = false
  const open = new AbortController()
  const abort = (): void => open.abort()
  const forBatches = (): void => {
    batches = true
    streamsFromMs.set(session, performance.now() + batchesMs)
    abort()
  }
  const end = onAbort(signal, abort)
  let begun = false
  let brought = false
  let stop = patience(mostMs, forBatches)
  try {
    const take = async (response: Response): Promise<Batch | undefined> => {
      stop()
      const type = response.headers.get('Content-Type') ?? ''
      const [, form] = /^application\/(x-ndjson|vnd\.reversehttp)\b/i.exec(type) ?? []
      if (!form) return undefined
      stop = patience(askedMs + mostMs - performance.now(), forBatches)
      if (!response.body) {
        // A fetch that is not the platform's may give content whole, at the end.
        forBatches()
        throw new TypeError('no stream')
      }
      const messages = reader(form === 'x-ndjson' ? mostAnswer : framedLine, mostInline(session))
      const stream = response.body.getReader()
      for (;;) {
        const { done, value } = await stream.read()
        // A stream without a byte, too: it was no wait.
        begun = true
        stop()
        passed.add(session)
        if (done) return { cursor: session.cursor, messages: [] }
        for (const message of messages(value)) {
          // What was not begun when the claim is closed is another session's.
          signal.throwIfAborted()
          brought ||= !!message
          if (message?.cursor) {
            session.cursor = message.cursor
            delete message.cursor
          }
          const turned = heard(message)
          if (turned) await turned
        }
        stop = patience(heartbeatSeconds * 2000 + slackMs, forBatches)
      }
    }
    const batch = await session.call<Batch>('GET', session.claimed.requests, {
      headers: {
        Accept: 'application/vnd.reversehttp, application/x-ndjson;q=0.9, application/json;q=0.5',
        'Last-Event-ID': session.cursor,
      },
      signal: open.signal,
      take,
    })
    return begun && !brought ? undefined : batch
  } catch (e) {
    if (begun || signal.aborted || !batches) throw e
    return session.batch(waitSeconds, signal)
  } finally {
    stop()
    end()
    // A stream that is given up for what it brought is still open.
    abort()
  }
}
