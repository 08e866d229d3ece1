/* Fetches request content that is not in the message, as the visitor sends it. */

/** Fetches the content at a URL. */
export type Open = (url: string) => Promise<ReadableStream<Uint8Array>>

/**
 * Returns a stream that is opened when it is first read, since the visitor may wait for a 100
 * (Continue).
 */
export function lazy(open: () => ReturnType<Open>): ReadableStream<Uint8Array> {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        reader ??= (await open()).getReader()
        const { done, value } = await reader.read()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => reader?.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}
