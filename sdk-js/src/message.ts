import type { Answers } from './envelope.js'

/** A message and its content, which is written into it or beside it when it is sent. */
export interface Beside {
  /** The content. Absent: it is in the message, or there is none. */
  content?: Uint8Array<ArrayBuffer>
}

/** A message that can be sent to answer. */
export type Message = Answers['messages'][number] & Beside
