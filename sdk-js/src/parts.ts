/*
 * Reads the content of an answer as it comes and passes it on in pieces. At most one piece is in flight; chunks that
 * come meanwhile are collected into the next. So a slow stream is sent chunk by chunk, a fast one in few pieces, and no
 * more is read than is accepted.
 */
import { onAbort } from './abort.js'
import { mostTurnMs, wholeBytes, wholeMs } from './bounds.js'
import { turn } from './turn.js'

/** The content of an answer that may be sent in parts. */
export interface Parts {
  /** All of it, if it ended soon. */
  whole: Uint8Array<ArrayBuffer> | undefined
  /** Its size in bytes, if that is known without reading it. */
  size?: number
  /**
   * Passes it on until its end, or until its signal aborts; `more` says whether other pieces follow. A piece
   * has at most `mostBytes`; the limit doubles after each full piece, up to what `largest` returns. Only
   * content of known size comes as a Blob, which is all of it. `taken` is called when the gateway has the
   * piece. Rejects if the stream fails, after all earlier pieces were taken.
   */
  pour(
    mostBytes: number,
    take: (
      piece: Uint8Array<ArrayBuffer> | Blob,
      more: boolean,
      taken?: () => void,
    ) => Promise<void>,
    largest: () => number,
  ): Promise<void>
  /** Cancels the stream: nobody needs it. */
  cancel(): void
}

/** Reads the content that comes soon. An abort of the signal cancels the stream. */
export async function readSoon(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): Promise<Parts> {
  const reader = stream.getReader()
  /** Bytes not passed on yet: a part of the buffer, which has room for more. */
  let held = new Uint8Array()
  let ended = false
  let turnMs = performance.now() + mostTurnMs
  let next!: Promise<ReadableStreamReadResult<Uint8Array>>

  const cancel = (): void => void reader.cancel(signal.reason).catch(() => {})
  const end = onAbort(signal, cancel)
  reader.closed.then(end, end)
  ask()
  // A program that was suspended first reads what has come.
  const late = new Promise<void>((resolve) => setTimeout(resolve, wholeMs)).then(turn).then(turn)
  while (!ended && held.length <= wholeBytes && (await Promise.race([next, late]))) await read()
  return { whole: ended ? held : undefined, pour, cancel }

  function ask(): void {
    next = reader.read()
    // It may fail while a piece is in flight; a later await gets the error.
    next.catch(() => {})
  }

  async function read(): Promise<void> {
    if (performance.now() > turnMs) {
      // A stream with much data ready, or that computes it, would let nothing else run.
      await turn()
      turnMs = performance.now() + mostTurnMs
    }
    const { done, value } = await next
    if ((ended = done)) return
    if (value.BYTES_PER_ELEMENT !== 1) {
      cancel()
      throw new TypeError('a chunk is not bytes')
    }
    add(value)
    ask()
  }

  /** Appends a copy of a chunk, whose buffer belongs to its source. */
  function add(chunk: Uint8Array): void {
    const size = held.length + chunk.length
    let { buffer, byteOffset } = held
    if (byteOffset + size > buffer.byteLength) {
      // With room for as much again; otherwise each small chunk would copy all earlier ones.
      const larger = new Uint8Array(size + Math.min(held.length, wholeBytes))
      larger.set(held)
      ;({ buffer, byteOffset } = larger)
    }
    const from = held.length
    held = new Uint8Array(buffer, byteOffset, size)
    held.set(chunk, from)
  }

  async function pour(...[leastBytes, take, largest]: Parameters<Parts['pour']>): Promise<void> {
    let mostBytes = leastBytes
    let room: (() => void) | undefined
    let more = true
    const drain = async (): Promise<void> => {
      do {
        const bound = Math.max(leastBytes, largest())
        mostBytes = Math.min(mostBytes, bound)
        const piece = held.subarray(0, mostBytes)
        held = held.subarray(mostBytes)
        more = !ended || held.length > 0
        // So much may be read while this is in flight.
        if (piece.length === mostBytes) mostBytes = Math.min(mostBytes * 2, bound)
        room?.()
        await take(piece, more)
      } while (!signal.aborted && (held.length || (ended && more)))
      pouring = undefined
      room?.()
    }
    let pouring: Promise<void> | undefined = drain()
    try {
      while (!ended) {
        await read()
        if (signal.aborted) break
        pouring ??= drain()
        if (held.length >= mostBytes) await new Promise<void>((resolve) => (room = resolve))
      }
    } finally {
      await pouring
    }
  }
}
