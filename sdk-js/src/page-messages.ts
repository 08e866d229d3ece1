/* The messages between a page and the Worker that holds its connection. */
import type { State } from './claim.js'
import type { ClaimAnswer, Field } from './envelope.js'
import type { ReverseHttpError } from './error.js'
import type { ExchangeEnd } from './exchange.js'
import type { ServeOptions } from './options.js'
import type { Arrived } from './request.js'
import type { Ownership } from './storage.js'

/**
 * Why a page takes no requests although its connection lives. `busy`: its main thread did not take one for 2
 * s. `asleep`: the same, in a hidden tab. `frozen`: the browser froze it, or keeps it in the back/forward
 * cache. `gone`: it was left.
 */
export type PageTrouble = 'busy' | 'asleep' | 'frozen' | 'gone'

/** The facts of an error, since the other side has another class. */
export type Fault = Pick<
  ReverseHttpError,
  'code' | 'message' | 'status' | 'detail' | 'retryAfterMs'
> & {
  trace?: ReverseHttpError['trace'] | undefined
  cause?: unknown
}

/** Content in transit to the other side. */
export type Content = ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null

/** Messages from the Worker. */
export type FromWorker =
  | { type: 'here' | 'unable' }
  | { type: 'serving'; state: State; facts: ClaimAnswer }
  | { type: 'turned'; state: State | PageTrouble; facts: ClaimAnswer; error?: Fault }
  | { type: 'refused'; error: Fault }
  | { type: 'error'; error: Fault }
  | { type: 'exchange'; end: ExchangeEnd }
  | { type: 'request'; envelope: Arrived; beginBy: number; life: number }
  | { type: 'cancel'; id: string; message: string }
  | { type: 'content'; id: string; content: Content; error?: string }

/** Messages from the page. */
export type FromPage =
  | { type: 'begin'; options: ServeOptions; known: Partial<Ownership> }
  | { type: 'life'; page: PageLife; life: number; left?: boolean; persisted?: boolean }
  | { type: 'begun' | 'late' | 'open'; id: string }
  | {
      type: 'answered'
      id: string
      status: number
      headers: Field[]
      added: Field[]
      content: Content
    }
  | { type: 'failed'; id: string; error: unknown }
  | { type: 'hints'; id: string; headers: Field[] }
  | { type: 'close' }

/** The lifecycle states of a page. */
export type PageLife = 'visible' | 'hidden' | 'frozen' | 'gone'

let canTransfer: boolean | undefined

/** Reports whether streams can be transferred; in Safari they cannot. */
export function transfers(): boolean {
  try {
    const stream = new ReadableStream()
    canTransfer ??= !!structuredClone(stream, { transfer: [stream as any] })
  } catch {
    canTransfer = false
  }
  return canTransfer
}
