/*
 * The content of an answer, read as it comes and handed on in pieces. At most one piece is on its
 * way; what comes meanwhile is kept, up to one piece, and goes together in the next. So a slow
 * stream is sent chunk by chunk, a fast one in few pieces, and no more is read than is taken.
 */
import { onAbort } from './abort.js'
import { mostTurnMs, wholeBytes, wholeMs } from './bounds.js'
import { turn } from './turn.js'

/** The content of an answer that may go in parts. */
export interface Parts {
  /** All of it, where it ended soon. */
  whole: Uint8Array<ArrayBuffer> | undefined
  /** How much it is, where that is known though it is not read. */
  size?: number
  /**
   * Hands it on to its end, or to the abort of its signal; `more` tells whether other pieces follow. Pieces
   * have at most so many bytes, and after each full one twice as many, up to what `largest` returns where that is more.
   * Only content of known size comes as a Blob, which is all of it. `taken` is called when the gateway has the piece.
   * Rejects where the stream fails, when all before was taken.
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
  /** Nobody wants it. */
  cancel(): void
}

/** Reads what comes soon. An abort of the signal cancels the stream. */
export async function readSoon(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): Promise<Parts> {
  const reader = stream.getReader()
  /** What came and was not handed on: a part of the buffer that has room for more. */
  let held = new Uint8Array()
  let ended = false
  let turnMs = performance.now() + mostTurnMs
  let next!: Promise<ReadableStreamReadResult<Uint8Array>>

  const cancel = (): void => void reader.cancel(signal.reason).catch(() => {})
  const end = onAbort(signal, cancel)
  reader.closed.then(end, end)
  ask()
  // A program that stood still meanwhile reads first what had come.
  const late = new Promise<void>((resolve) => setTimeout(resolve, wholeMs)).then(turn).then(turn)
  while (!ended && held.length <= wholeBytes && (await Promise.race([next, late]))) await read()
  return { whole: ended ? held : undefined, pour, cancel }

  function ask(): void {
    next = reader.read()
    // It may fail while a piece is on its way; who waits for it later sees that.
    next.catch(() => {})
  }

  async function read(): Promise<void> {
    if (performance.now() > turnMs) {
      // A stream that has much at hand, or computes it, would let nothing else run.
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

  /** Adds a chunk, whose buffer is its maker's, behind what is held. */
  function add(chunk: Uint8Array): void {
    const size = held.length + chunk.length
    let { buffer, byteOffset } = held
    if (byteOffset + size > buffer.byteLength) {
      // With room for as much again: else many small chunks would be copied once for each that follows.
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
        // So much may be read while this is on its way.
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
