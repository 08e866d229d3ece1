/*
 * Frames of a WebSocket (RFC 6455, 5), for the server side: the visitor's are masked, ours are not.
 * A violation of the rules throws a Fault with the close code.
 */

// The opcodes (RFC 6455, 11.8).
export const textFrame = 1
export const binaryFrame = 2
export const closeFrame = 8
export const pingFrame = 9
export const pongFrame = 10

/** Why a connection cannot go on. */
export class Fault extends Error {
  /** The close code (RFC 6455, 7.4.1). */
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Reports whether a Close frame may have this code (RFC 6455, 7.4). */
export function sendable(code: number): boolean {
  return (
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) ||
    (code >= 3000 && code <= 4999)
  )
}

/** Returns a whole frame to the visitor. */
export function toFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload
  const extra = length < 126 ? 0 : length < 65536 ? 2 : 8
  const all = new Uint8Array(2 + extra + length)
  const view = new DataView(all.buffer)
  all[0] = 0x80 | opcode
  all[1] = extra ? (extra === 2 ? 126 : 127) : length
  if (extra === 2) view.setUint16(2, length)
  if (extra === 8) view.setBigUint64(2, BigInt(length))
  all.set(payload, 2 + extra)
  return all
}

/** Returns the payload of a Close frame. */
export function toClose(code: number, reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason)
  return Uint8Array.of(code >> 8, code & 255, ...text)
}

/** Reads the payload of a Close frame; 1005 stands for no code. */
export function fromClose(payload: Uint8Array): { code: number; reason: string } {
  if (!payload.length) return { code: 1005, reason: '' }
  const code = (payload[0]! << 8) | payload[1]!
  // One byte is not a code.
  if (payload.length < 2 || !sendable(code)) throw new Fault(1002, 'bad close code')
  return { code, reason: utf8(strict(), payload.subarray(2), false) }
}

/** A message of the visitor. Text is a string. */
export type Take = (opcode: number, payload: string | Uint8Array<ArrayBuffer>) => void

/** Reads frames from chunks of any size, and passes on whole messages, pings, pongs and closes. */
export class FrameReader {
  readonly #mostBytes: number
  readonly #take: Take
  #head: number[] = []
  /** Of the current frame; a continuation has that of its message. */
  #opcode = 0
  #fin = false
  #left = -1
  #mask: number[] = []
  #at = 0
  #control: number[] = []
  /** Of the current message, or 0 if there is none. */
  #message = 0
  #size = 0
  #bytes = new Uint8Array()
  #held = 0
  #text = ''
  #decoder = strict()

  constructor(mostBytes: number, take: Take) {
    this.#mostBytes = mostBytes
    this.#take = take
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#left < 0) {
        this.#head.push(chunk[at++]!)
        this.#readHead()
        continue
      }
      const piece = chunk.slice(at, at + this.#left)
      for (let i = 0; i < piece.length; i++) piece[i]! ^= this.#mask[this.#at++ & 3]!
      at += piece.length
      this.#left -= piece.length
      this.#hold(piece)
      if (!this.#left) this.#end()
    }
  }

  #readHead(): void {
    const head = this.#head
    const [first = 0, second = 0] = head
    if (head.length < 2) return
    const short = second & 127
    const extra = short < 126 ? 0 : short === 126 ? 2 : 8
    if (head.length === 2) this.#check(first, second)
    if (head.length < 6 + extra) return
    let length = extra ? 0 : short
    for (const byte of head.slice(2, 2 + extra)) length = length * 256 + byte
    if ((extra === 2 && length < 126) || (extra === 8 && length < 65536)) {
      throw new Fault(1002, 'a length that is not minimal')
    }
    if (this.#opcode < closeFrame && (this.#size += length) > this.#mostBytes) {
      throw new Fault(1009, 'message too big')
    }
    this.#mask = head.slice(-4)
    this.#at = 0
    this.#head = []
    this.#left = length
    if (!length) this.#end()
  }

  #check(first: number, second: number): void {
    const opcode = first & 15
    const control = opcode >= closeFrame
    this.#fin = first >= 128
    this.#opcode = opcode || this.#message
    if (first & 0x70) throw new Fault(1002, 'reserved bits')
    if (second < 128) throw new Fault(1002, 'no mask')
    if (opcode > pongFrame || (opcode > binaryFrame && !control)) {
      throw new Fault(1002, 'unknown opcode')
    }
    if (control) {
      if (!this.#fin || second > 128 + 125) throw new Fault(1002, 'bad control frame')
    } else if (!opcode === !this.#message) {
      throw new Fault(1002, 'a fragment out of order')
    } else {
      this.#message = this.#opcode
    }
  }

  #hold(piece: Uint8Array): void {
    if (this.#opcode >= closeFrame) this.#control.push(...piece)
    // At once, so that invalid text is refused before all of it has come.
    else if (this.#opcode === textFrame) this.#text += utf8(this.#decoder, piece, true)
    else this.#keep(piece)
  }

  /** Collected, since each piece has a cost, and a visitor may send one byte in each. */
  #keep(piece: Uint8Array): void {
    const size = this.#held + piece.length
    if (size > this.#bytes.length) {
      const more = new Uint8Array(Math.max(size, Math.min(2 * size, this.#mostBytes)))
      more.set(this.#bytes.subarray(0, this.#held))
      this.#bytes = more
    }
    this.#bytes.set(piece, this.#held)
    this.#held = size
  }

  #end(): void {
    this.#left = -1
    if (this.#opcode >= closeFrame) {
      const payload = Uint8Array.from(this.#control)
      this.#control = []
      return this.#take(this.#opcode, payload)
    }
    if (!this.#fin) return
    let message: string | Uint8Array<ArrayBuffer>
    if (this.#opcode === textFrame) {
      message = this.#text + utf8(this.#decoder, new Uint8Array(), false)
    } else {
      const whole = this.#held === this.#bytes.length
      message = whole ? this.#bytes : this.#bytes.slice(0, this.#held)
    }
    this.#message = this.#size = 0
    this.#text = ''
    this.#bytes = new Uint8Array()
    this.#held = 0
    this.#take(this.#opcode, message)
  }
}

// ignoreBOM keeps a byte order mark: content is exact.
function strict(): TextDecoder {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
}

function utf8(decoder: TextDecoder, bytes: Uint8Array, stream: boolean): string {
  try {
    return decoder.decode(bytes, { stream })
  } catch {
    throw new Fault(1007, 'text that is no UTF-8')
  }
}
