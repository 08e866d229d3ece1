/*
 * The content of an answer, read as it comes and handed on in pieces. At most one piece is on its
 * way; what comes meanwhile is kept, up to one piece, and goes together in the next. So a slow
 * stream is sent chunk by chunk, a fast one in few pieces, and no more is read than is taken.
 */

// Content that ends so soon and is so small is sent whole: one message instead of several.
const soonMs = 20
const wholeBytes = 262_144

/** The content of an answer. */
export interface Content {
  /** All of it, where it ended soon. */
  whole: Uint8Array | undefined
  /**
   * Hands it on to its end, or to the abort of its signal; `more` tells whether other pieces follow.
   * Rejects where the stream fails, when all before was taken.
   */
  pour(mostBytes: number, take: (piece: Uint8Array, more: boolean) => Promise<void>): Promise<void>
  /** Nobody wants it. */
  cancel(): void
}

/** Reads what comes soon. An abort of the signal cancels the stream. */
export async function readSoon(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): Promise<Content> {
  const reader = stream.getReader()
  let chunks: Uint8Array[] = [new Uint8Array()]
  let size = 0
  let ended = false
  let next!: Promise<ReadableStreamReadResult<Uint8Array>>

  const cancel = (): void => void reader.cancel(signal.reason).catch(() => {})
  signal.addEventListener('abort', cancel)
  if (signal.aborted) cancel()
  ask()
  const late = new Promise<void>((resolve) => setTimeout(resolve, soonMs))
  while (!ended && size <= wholeBytes && (await Promise.race([next, late]))) await read()
  return { whole: ended ? piece(size) : undefined, pour, cancel }

  function ask(): void {
    next = reader.read()
    // It may fail while a piece is on its way; who waits for it later sees that.
    next.catch(() => {})
  }

  async function read(): Promise<void> {
    const { done, value } = await next
    if ((ended = done)) return
    if (value.BYTES_PER_ELEMENT !== 1) throw new TypeError('a chunk is not bytes')
    size += value.length
    chunks.push(value)
    ask()
  }

  /** What was read, at most so much of it. */
  function piece(mostBytes: number): Uint8Array {
    let all = chunks[0]!
    if (chunks[1]) {
      all = new Uint8Array(size)
      let at = 0
      for (const chunk of chunks) {
        all.set(chunk, at)
        at += chunk.length
      }
    }
    const rest = all.subarray(mostBytes)
    chunks = [rest]
    size = rest.length
    return all.subarray(0, mostBytes)
  }

  async function pour(...[mostBytes, take]: Parameters<Content['pour']>): Promise<void> {
    let more = true
    const drain = async (): Promise<void> => {
      do {
        more = !ended || size > mostBytes
        await take(piece(mostBytes), more)
      } while (!signal.aborted && (size || (ended && more)))
      pouring = undefined
    }
    let pouring: Promise<void> | undefined = drain()
    try {
      while (!ended) {
        await read()
        if (signal.aborted) break
        pouring ??= drain()
        if (size >= mostBytes) await pouring
      }
    } finally {
      await pouring
    }
  }
}
