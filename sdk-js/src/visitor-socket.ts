/*
 * A WebSocket of a visitor. To an exchange it is an answer with status 101 whose content streams: data to the
 * visitor is sent in its parts, and data from the visitor comes as the content of the request. The states are
 * those of WebSocket:
 *
 *   connecting  upgraded by the handler; the 101 is not on its way. What is sent is kept
 *   open        both sides send
 *   closing     a Close frame was sent or came; once both are, or after some seconds, the last part
 *               ends the connection
 *   closed      over
 *
 * If the visitor's content ends without a Close frame, or the exchange is aborted, the socket closes with 1006.
 */
import { onAbort } from './abort.js'
import {
  binaryFrame,
  closeFrame,
  Fault,
  FrameReader,
  fromClose,
  pingFrame,
  pongFrame,
  sendable,
  textFrame,
  toClose,
  toFrame,
} from './frame.js'
import { patience } from './patience.js'
import { Pause } from './pause.js'
import type { Parts } from './parts.js'
import type { Info } from './request.js'
import type { Socket, SocketEventMap } from './socket.js'

// The silence after which a ping is sent to the visitor, and how many unanswered pings mean that they are gone.
const pingMs = 20_000
const mostPings = 2
// How long to wait for the answer to a Close frame.
const closeMs = 5_000
// How long a visitor may read nothing after a Close frame was sent.
const lingerMs = 30_000
// Of waiting pongs only the newest matters (RFC 6455, 5.5.3), so a visitor who reads none cannot fill the
// memory.
const mostPongs = 16

/** Data that waits to be sent. */
interface Outgoing {
  /** Undefined while a Blob is read. */
  frame: Uint8Array | undefined
  /** How much it counts in bufferedAmount. */
  size: number
}

/** The handler's side of a connection that it upgraded. */
export class VisitorSocket extends EventTarget implements Socket {
  readonly CONNECTING = 0
  readonly OPEN = 1
  readonly CLOSING = 2
  readonly CLOSED = 3
  readonly url: string
  readonly protocol: string
  readonly extensions = ''
  binaryType: 'arraybuffer' | 'blob' = 'arraybuffer'
  onopen: Socket['onopen'] = null
  onmessage: Socket['onmessage'] = null
  onerror: Socket['onerror'] = null
  onclose: Socket['onclose'] = null
  readonly content: Parts
  readonly #info: Info
  readonly #controller: AbortController
  readonly #frames: FrameReader
  readonly #changed = new Pause()
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  #readyState: Socket['readyState'] = 0
  /** Data that the gateway has not accepted: first what is in flight, then what waits. */
  #queue: Outgoing[] = []
  /** How much of the first element the gateway has accepted. */
  #gone = 0
  /** The first element that waits, and how much of it is in flight. */
  #next = 0
  #sent = 0
  #bufferedAmount = 0
  #closeSent = false
  /** Set once nothing follows the waiting data. */
  #ended = false
  /** Why the handler failed. */
  #failure: { cause: unknown } | undefined
  #outcome = { code: 1006, reason: '', wasClean: false }
  /** Unsubscribes from the signal. */
  #unfollow: (() => void) | undefined
  /** Ends the current wait. */
  #stop: (() => void) | undefined
  #pings = 0
  /** How many pongs wait, and the newest of those in excess. */
  #pongs = 0
  #newestPong: Uint8Array | undefined

  constructor(info: Info, protocol: string, messageBytes: number, controller: AbortController) {
    super()
    this.#info = info
    this.#controller = controller
    this.url = info.url.replace(/^http/, 'ws')
    this.protocol = protocol
    this.#frames = new FrameReader(messageBytes, (...frame) => this.#receive(...frame))
    this.content = { whole: undefined, pour: (...of) => this.#pour(...of), cancel() {} }
    for (const type of ['open', 'message', 'error', 'close'] as const) {
      this.addEventListener(type, (e: Event) => this[`on${type}`]?.call(this, e as never))
    }
    // Later, so that listeners can be added first.
    queueMicrotask(() => (this.#unfollow = onAbort(controller.signal, () => this.#close())))
  }

  get readyState(): Socket['readyState'] {
    return this.#readyState
  }

  get bufferedAmount(): number {
    return this.#bufferedAmount
  }

  send(data: string | ArrayBufferLike | ArrayBufferView | Blob): void {
    if (this.#readyState > 1) return
    if (data instanceof Blob) return this.#sendBlob(data)
    let bytes
    if (ArrayBuffer.isView(data)) {
      bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    } else if (Object.prototype.toString.call(data).endsWith('ArrayBuffer]')) {
      bytes = new Uint8Array(data as ArrayBuffer)
    }
    const payload = bytes ?? new TextEncoder().encode(`${data}`)
    this.#push(toFrame(bytes ? binaryFrame : textFrame, payload), payload.length)
  }

  /** Holds the place of a Blob while it is read. */
  #sendBlob(data: Blob): void {
    const out = this.#push(undefined, data.size)
    data.arrayBuffer().then(
      (bytes) => {
        out.frame = toFrame(binaryFrame, new Uint8Array(bytes))
        this.#changed.end()
      },
      (cause) => this.fail(cause),
    )
  }

  close(code?: number, reason = ''): void {
    if (code !== undefined && !sendable(code)) {
      throw new DOMException(`${code} is no code to close with`, 'InvalidAccessError')
    }
    const payload = code === undefined ? new Uint8Array() : toClose(code, reason)
    if (payload.length > 125) throw new DOMException('the reason is too long', 'SyntaxError')
    if (this.#readyState > 1) return
    this.#sayClose(payload)
    this.#linger()
  }

  /** Reports to the visitor that the handler failed. */
  fail(cause: unknown): void {
    if (this.#readyState > 2) return
    this.#failure ??= { cause }
    if (!this.#closeSent) this.#outcome = { code: 1011, reason: '', wasClean: false }
    this.#queue = this.#queue.filter(({ frame }) => frame)
    this.#sayClose(toClose(1011, ''))
    this.#end()
  }

  #push(frame: Uint8Array | undefined, size = 0): Outgoing {
    const out = { frame, size }
    this.#bufferedAmount += size
    this.#queue.push(out)
    this.#changed.end()
    return out
  }

  #sayClose(payload: Uint8Array): void {
    if (this.#closeSent) return
    this.#closeSent = true
    this.#readyState = 2
    this.#push(toFrame(closeFrame, payload))
  }

  /** Ends the connection after the waiting data. */
  #end(): void {
    this.#ended = true
    this.#linger()
    this.#changed.end()
  }

  /** Bounds how long the visitor may take to read the waiting data, and to answer a Close frame. */
  #linger(): void {
    if (this.#ended || this.#queue.length) this.#wait(lingerMs, () => this.#lose())
    else this.#wait(closeMs, () => this.#end())
  }

  async #pour(...[mostBytes, take]: Parameters<Parts['pour']>): Promise<void> {
    const { signal } = this.#controller
    await take(new Uint8Array(), true)
    if (signal.aborted) return
    if (this.#readyState === 0) {
      this.#readyState = 1
      this.#tell('open')
    }
    void this.#read()
    for (let more = true; more && !signal.aborted;) {
      const piece = this.#piece(mostBytes)
      more = !this.#ended || piece.length > 0 || this.#next < this.#queue.length
      if (more && !piece.length) {
        await this.#changed.wait()
        continue
      }
      // Its last part is also sent before an abort.
      if (this.#failure) more = true
      await take(piece, more, () => this.#taken(piece.length))
      if (this.#failure && this.#ended && this.#next === this.#queue.length) break
    }
    this.#reader?.cancel().catch(() => {})
    if (signal.aborted) return
    const clean = this.#outcome.code !== 1006
    this.#close()
    if (this.#failure) throw this.#failure.cause
    if (!clean) this.#abort()
  }

  /** Takes data that is ready to be sent, at most `mostBytes`. */
  #piece(mostBytes: number): Uint8Array<ArrayBuffer> {
    let size = 0
    const frames: Uint8Array[] = []
    for (let frame; size < mostBytes && (frame = this.#queue[this.#next]?.frame);) {
      const some = frame.subarray(this.#sent, this.#sent + mostBytes - size)
      frames.push(some)
      size += some.length
      this.#sent += some.length
      if (this.#sent < frame.length) break
      this.#sent = 0
      this.#next++
    }
    if (frames.length === 1) return frames[0] as Uint8Array<ArrayBuffer>
    const piece = new Uint8Array(size)
    let at = 0
    for (const frame of frames) {
      piece.set(frame, at)
      at += frame.length
    }
    return piece
  }

  /** Notes that the gateway accepted `bytes`. */
  #taken(bytes: number): void {
    if (this.#readyState > 2) return
    // A visitor who reads messages is there, though their answer to a ping behind the messages may take long.
    if (this.#queue[0]?.size) this.#pings = 0
    this.#gone += bytes
    for (let first; (first = this.#queue[0]?.frame) && this.#gone >= first.length;) {
      this.#gone -= first.length
      this.#bufferedAmount -= this.#queue.shift()!.size
      this.#next--
      if (first[0] === (0x80 | pongFrame)) this.#pongs--
    }
    if (this.#closeSent) return this.#linger()
    const newest = this.#newestPong
    if (newest && this.#pongs < mostPongs) {
      this.#newestPong = undefined
      this.#pong(newest)
    }
  }

  #pong(payload: Uint8Array): void {
    if (this.#closeSent) return
    if (this.#pongs === mostPongs) this.#newestPong = payload
    else {
      this.#pongs++
      this.#push(toFrame(pongFrame, payload))
    }
  }

  /** Reads the visitor's data to its end. */
  async #read(): Promise<void> {
    try {
      this.#reader = this.#info.body!.getReader()
      this.#heard()
      for (;;) {
        const { done, value } = await this.#reader.read()
        // Data after a Close frame is ignored (RFC 6455, 5.5.1).
        if (this.#ended || this.#readyState > 2) return
        if (done) break
        this.#heard()
        this.#frames.push(value)
      }
    } catch (e) {
      if (e instanceof Fault) return this.#refuse(e)
    }
    if (!this.#outcome.wasClean) this.#lose()
  }

  /** The visitor left without a Close frame; nobody can receive the waiting data. */
  #lose(): void {
    if (this.#readyState > 2) return
    this.#queue = []
    this.#next = this.#sent = 0
    this.#end()
    this.#close()
    // The last part tells the gateway, unless that is gone as well.
    this.#wait(closeMs, () => this.#abort())
  }

  #refuse({ code, message }: Fault): void {
    if (this.#ended) return
    this.#outcome = { code, reason: message, wasClean: false }
    this.#tell('error')
    this.#sayClose(toClose(code, message))
    this.#end()
  }

  #receive(opcode: number, payload: string | Uint8Array<ArrayBuffer>): void {
    if (this.#outcome.wasClean) return
    if (typeof payload === 'string') this.#message(payload)
    else if (opcode === binaryFrame) {
      this.#message(this.binaryType === 'blob' ? new Blob([payload]) : payload.buffer)
    } else if (opcode === pingFrame) {
      this.#pong(payload)
    } else if (opcode === closeFrame) {
      this.#outcome = { ...fromClose(payload), wasClean: true }
      this.#sayClose(payload)
      this.#end()
    }
  }

  #message(data: unknown): void {
    if (this.#readyState === 1) this.#tell('message', { data })
  }

  /** Notes that the visitor is there, and schedules a ping for when they are silent. */
  #heard(): void {
    this.#pings = 0
    if (!this.#closeSent) this.#await()
  }

  #await(): void {
    this.#wait(pingMs, () => {
      if (this.#pings++ === mostPings) return this.#lose()
      this.#push(toFrame(pingFrame, new Uint8Array()))
      this.#await()
    })
  }

  #wait(ms: number, then: () => void): void {
    this.#stop?.()
    // The timer must not keep Node running; the connection does.
    this.#stop = patience(ms, then, false)
  }

  #abort(): void {
    this.#controller.abort(new DOMException('visitor_gone', 'AbortError'))
  }

  #close(): void {
    this.#changed.end()
    this.#unfollow?.()
    this.#stop?.()
    if (this.#readyState > 2) return
    this.#readyState = 3
    if (this.#outcome.code === 1006) this.#tell('error')
    this.#tell('close', this.#outcome)
  }

  #tell(type: keyof SocketEventMap, members: object = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), members))
  }
}
