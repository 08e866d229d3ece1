/*
 * Polls that listen: their answer is a stream, which carries each message as soon as there is one.
 *
 *   asked    no byte yet. A gateway sends one at once, so silence means that an intermediary holds the
 *            stream back: the session asks for a batch instead, and reports no error
 *   begun    lines arrive; a blank one shows that the gateway is alive
 *   dead     no line for longer than the gateway's heartbeat: a failed poll
 *
 * After the first and the last, polls ask for batches until the session or some minutes are over.
 */
import { onAbort } from './abort.js'
import { mostAnswer, slackMs } from './bounds.js'
import { mostInline, reader } from './messages.js'
import { patience } from './patience.js'
import type { Heard, Session } from './session.js'
import type { Batch } from './envelope.js'

// Before any stream came through, and after: then intermediaries pass streams, and are slow.
const firstByteMs = 4_000
const nextByteMs = 10_000
const batchesMs = 300_000
// For a gateway that does not name one.
const defaultHeartbeatSeconds = 15
// The longest line in the framed form, whose content is beside it.
const framedLine = 262_144

/** The sessions that received a stream. */
const passed = new WeakSet<Session>()

/** When each session may ask for streams again, by performance.now(). */
const streamsFromMs = new WeakMap<Session, number>()

/**
 * Polls once, for a stream if there was one or it may be tried. Returns what Session.batch returns; messages
 * by the stream are not in the returned batch.
 */
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
        // A replaced fetch may deliver the whole content at the end.
        forBatches()
        throw new TypeError('no stream')
      }
      const messages = reader(form === 'x-ndjson' ? mostAnswer : framedLine, mostInline(session))
      const stream = response.body.getReader()
      for (;;) {
        const { done, value } = await stream.read()
        // A stream without a byte did not wait either.
        begun = true
        stop()
        passed.add(session)
        if (done) return { cursor: session.cursor, messages: [] }
        for (const message of messages(value)) {
          // Messages not begun when the claim is closed belong to another session.
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
    // A stream abandoned because of what it delivered is still open.
    abort()
  }
}
