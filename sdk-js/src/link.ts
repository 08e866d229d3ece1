/*
 * The link of a session (schema/README.md, 4): a WebSocket that carries its messages both ways, and serves as
 * its poll.
 *
 *   opening   requested; abandoned after a while. Polls may run in parallel until it connects: to the gateway the
 *             later of the two is the newer, so polls end before the link says hello, and none begins after that
 *   open      welcomed; the gateway ends its poll
 *   over      closed, or silent for too long. Messages without a result return to their senders, which post them
 *
 * Messages are handed on at once, or one by one after a handler that computes for long. The cursor names what
 * was handed on. It is sent when a message arrives or is handed on, never by a timer, since those of hidden
 * tabs are late.
 */
import { lateMs } from './bounds.js'
import { ReverseHttpError } from './error.js'
import { bytesOf } from './framed.js'
import { mostInline, reader } from './messages.js'
import { patience } from './patience.js'
import { Pause } from './pause.js'
import { turn } from './turn.js'
import type { Arrived } from './request.js'
import type { Flow, Heard, LinkSocket, OpenLink, Sendable, Session } from './session.js'
import type { Cancel, LinkError, LinkResults, Result, Welcome } from './envelope.js'

type Message = Arrived | Cancel | Welcome | LinkResults | LinkError | { type: 'ping' }

// How long to wait before a poll runs in parallel, and before the link is abandoned.
const headStartMs = 250
const openMs = 4_000
const silentMs = 10_000
// A stream may have this many messages in flight, and leaves this part of the link's window to whole answers.
const mostMessages = 4_096
const wholeShare = 1 / 4
// The largest WebSocket message in bytes, and the longest line in the framed form.
const mostBytes = 262_144
const ackMs = 1_000
const ackBytes = 65_536

/** A message that was sent and has no result. */
interface Sent {
  of: Sendable
  bytes: number
  flow: Flow | undefined
  lost(all: Sendable[]): unknown
}

/** A link from its opening to its end. */
export class Link implements OpenLink {
  open = false
  /** The upgrade succeeded: the link is about to be open. */
  connected = false
  /** A poll or another link took its place. */
  replaced = false
  /** The gateway gave the reason for ending it. */
  refused = false
  /** Ends the parallel poll, if there is or was one. */
  beside: (() => Promise<unknown>) | undefined
  /** Resolves once the link is open or over. */
  readonly opened: Promise<void>
  /** Resolves when the link is over; rejects if that means trouble. */
  readonly over: Promise<void>
  readonly changed: Pause = new Pause()
  readonly #session: Session
  readonly #socket: LinkSocket
  readonly #heard: Heard
  readonly #alone: boolean
  readonly #over: (useless: boolean) => void
  #read = reader(mostBytes, 0)
  readonly #encoder = new TextEncoder()
  readonly #sinceMs = performance.now()
  #opened!: () => void
  #settle!: (error?: unknown) => void
  #ended = false
  /** Ends the wait for the next sign of life. */
  #stop: () => void
  #heardMs = 0
  #ackedMs = 0
  #acked: string | undefined
  /** How many bytes arrived since then. */
  #unacked = 0
  /** Messages that arrived and wait for their turn. */
  #queue: (Arrived | Cancel)[] = []
  #handing = false
  /** Whether anything arrived. */
  #passed = false
  #exchangeWindow = 0
  #free = 0
  /** How much of `#free` streams leave to whole answers. */
  #left = 0
  readonly #sent = new Map<string, Sent[]>()
  #outgoing: Uint8Array[] = []
  #outgoingBytes = 0
  /** Whether something was sent in this turn of the event loop. */
  #flushed = false
  readonly #soon = soon()

  /**
   * `alone` says that no poll may run in parallel. `ended` is called when the link is over, with whether
   * links are useless here for a while.
   */
  constructor(
    session: Session,
    socket: LinkSocket,
    heard: Heard,
    alone: boolean,
    ended: (useless: boolean) => void,
  ) {
    this.#alone = alone
    this.#over = ended
    this.#session = session
    this.#socket = socket
    this.#heard = heard
    this.opened = new Promise((resolve) => (this.#opened = resolve))
    this.over = new Promise((resolve, reject) => {
      this.#settle = (error) => (error ? reject(error) : resolve())
    })
    this.over.catch(() => {})
    socket.binaryType = 'arraybuffer'
    const listen = (type: string, then: (event: any) => void): void =>
      socket.addEventListener(type, (event) => this.#ended || then(event))
    listen('open', async () => {
      this.connected = true
      this.changed.end()
      await this.beside?.()
      if (this.#ended) return
      const { token } = session.claimed
      this.#acked = session.cursor
      this.#say({ type: 'hello', token, cursor: session.cursor })
    })
    listen('message', ({ data }) => this.#receive(data))
    listen('close', ({ code }) => {
      this.replaced = code === 1001 && (this.open || !!this.beside)
      // Another program replaced it. If it was a poll of this one, that would happen again with each try.
      if (this.replaced && !this.beside) this.#end()
      else this.#fail(`closed with ${code}`)
    })
    listen('error', () => {})
    this.#stop = patience(openMs, () => this.#fail('not opened in time'))
  }

  /** Waits a little for it to connect, or until the limit if it is alone; then until it is open or over. */
  async headStart(): Promise<void> {
    const ms = this.#sinceMs + (this.#alone ? openMs : headStartMs) - performance.now()
    if (!this.connected && !this.#ended && ms > 0) await this.changed.wait(ms)
    if (this.connected) await this.opened
  }

  /** Ends the link: this program polls in another way, or not at all. */
  close(): void {
    this.#end()
  }

  flow(): Flow {
    return { link: this, messages: 0, bytes: 0, window: this.#exchangeWindow }
  }

  fits(bytes: number, { messages, bytes: own, window }: Flow): boolean {
    if (messages >= mostMessages) return false
    if (!bytes) return true
    const left = this.#free - this.#left - bytes
    // A stream whose content is not accepted leaves as much free as it holds.
    return own + bytes <= window && left >= (own && own + bytes)
  }

  send<S extends Sendable>(messages: S[], lost: (all: S[]) => unknown, flow?: Flow): boolean {
    // Parts of a stream that found no room here are posted.
    if (!flow && messages.some(({ message: { seq, more } }) => seq || more)) return false
    let content = 0
    const framed = messages.map((of) => {
      const line = this.#encoder.encode(of.line(true) + '\n')
      const bytes = of.content?.length ?? 0
      content += bytes
      return { of, line, bytes, size: line.length + bytes + (bytes && 1) }
    })
    const most = flow ? flow.window - flow.bytes : this.#exchangeWindow
    if (!this.open || content > Math.min(most, this.#free)) return false
    if (framed.some(({ size }) => size > mostBytes)) return false
    for (const { of, line, bytes, size } of framed) {
      const sent = this.#sent.get(of.message.id) ?? []
      this.#sent.set(of.message.id, sent)
      sent.push({ of, bytes, flow, lost: lost as Sent['lost'] })
      this.#free -= bytes
      if (flow) {
        flow.messages++
        flow.bytes += bytes
      }
      if (this.#outgoingBytes + size > mostBytes) this.#flush()
      // A little later, so that answers that become ready together are sent together; later ones in the same
      // turn of the event loop are sent when it ends.
      if (!this.#outgoing.length && !this.#flushed) queueMicrotask(() => this.#flush())
      this.#outgoingBytes += size
      this.#outgoing.push(line)
      if (bytes) this.#outgoing.push(of.content!, lineEnd)
    }
    return true
  }

  #flush(): void {
    const bytes = this.#outgoing.length && bytesOf(this.#outgoing, this.#outgoingBytes)
    this.#outgoing = []
    this.#outgoingBytes = 0
    if (!bytes || this.#ended) return
    this.#socket.send(bytes)
    if (this.#flushed) return
    this.#flushed = true
    this.#soon(() => {
      this.#flushed = false
      this.#flush()
    })
  }

  #say(message: object): void {
    this.#socket.send(JSON.stringify(message))
  }

  #receive(data: string | ArrayBuffer): void {
    this.#heardMs = performance.now()
    try {
      if (typeof data === 'string') this.#take(JSON.parse(data) as Message, data.length)
      else {
        for (const message of this.#read(new Uint8Array(data))) this.#take(message, 0)
        this.#ack(data.byteLength)
      }
    } catch (cause) {
      this.#fail('malformed', cause)
    }
  }

  #take(message: Message | undefined, bytes: number): void {
    if (this.#ended || !message) return
    if (message.type === 'welcome') this.#welcome(message)
    else if (message.type === 'results') for (const result of message.results) this.#judge(result)
    else if (message.type === 'ping') {
      this.#acknowledge('pong')
      void this.#heard()
    } else if (message.type === 'error') this.#refuse(message)
    else {
      this.#passed = true
      this.#queue.push(message)
      if (!this.#handing) void this.#hand()
    }
    if (bytes) this.#ack(bytes)
  }

  #welcome({ limits, exchangeWindow, linkWindow }: Welcome): void {
    Object.assign(this.#session.claimed.limits, limits)
    this.#exchangeWindow = exchangeWindow
    this.#free = linkWindow
    this.#read = reader(mostBytes, mostInline(this.#session))
    this.#left = linkWindow * wholeShare
    this.#ackedMs = this.#heardMs
    this.open = true
    this.#session.link = this
    this.#stop()
    this.#watch(silentMs)
    void this.#heard()
    this.#opened()
  }

  /** Ends the link after a longer silence than a gateway allows itself. */
  #watch(ms: number): void {
    const dueMs = performance.now() + ms
    const timer = setTimeout(async () => {
      // The program was suspended, or its timers are late: what arrived meanwhile is not read yet.
      if (performance.now() - dueMs > lateMs) await turn().then(turn)
      if (this.#ended) return
      const leftMs = this.#heardMs + silentMs - performance.now()
      if (leftMs > 0) this.#watch(leftMs)
      else this.#fail('silent', new DOMException('silent', 'AbortError'))
    }, ms)
    this.#stop = () => clearTimeout(timer)
  }

  async #hand(): Promise<void> {
    this.#handing = true
    for (let message; !this.#ended && (message = this.#queue.shift());) {
      if (message.cursor) {
        this.#session.cursor = message.cursor
        delete message.cursor
      }
      const turned = this.#heard(message)
      if (turned) await turned
    }
    this.#handing = false
    this.#ack(0)
  }

  #ack(bytes: number): void {
    this.#unacked += bytes
    const due = this.#unacked >= ackBytes || performance.now() - this.#ackedMs > ackMs
    if (this.open && due && this.#acked !== this.#session.cursor) this.#acknowledge('ack')
  }

  #acknowledge(type: 'ack' | 'pong'): void {
    const { cursor } = this.#session
    this.#say({ type, cursor })
    this.#acked = cursor
    this.#ackedMs = performance.now()
    this.#unacked = 0
  }

  #judge(result: Result): void {
    const sent = this.#sent.get(result.id)
    const at = sent?.findIndex(({ of }) => of.message.seq === result.seq) ?? -1
    if (!sent || at < 0) return
    const [{ of, bytes, flow }] = sent.splice(at, 1) as [Sent]
    if (!sent.length) this.#sent.delete(result.id)
    this.#free += bytes
    if (flow) {
      flow.messages--
      flow.bytes -= bytes
      flow.window = result.exchangeWindow ?? flow.window
    }
    of.settle(result)
    this.changed.end()
  }

  #refuse({ code, status, detail = '', retryAfterMs }: LinkError): void {
    // An intermediary changed it, so fall back to polls.
    if (code === 'bad_json') return this.#fail(detail)
    this.refused = true
    const { link } = this.#session.claimed
    const message = `${link}: ${status} ${code} ${detail}`.trim()
    this.#end(
      new ReverseHttpError(code, message, { status, detail, retryAfterMs: retryAfterMs ?? 0 }),
    )
  }

  #fail(why: string, cause?: unknown): void {
    if (this.#ended) return
    const brief = performance.now() - this.#sinceMs < silentMs
    const message = `${this.#session.claimed.link}: ${why}`
    const useless = !this.replaced && ((brief && !this.#passed) || cause !== undefined)
    this.#end(new ReverseHttpError('network', message, { cause }), useless)
  }

  #end(error?: ReverseHttpError, useless = false): void {
    if (this.#ended) return
    this.#flush()
    this.#over(useless || (!!error && !this.open && !this.replaced))
    this.#ended = true
    this.open = false
    this.#stop()
    if (this.#session.link === this) this.#session.link = undefined
    try {
      this.#socket.close(1000)
    } catch {}
    this.#opened()
    this.#settle(error)
    this.changed.end()
    for (const sent of this.#sent.values()) sent[0]!.lost(sent.map(({ of }) => of))
  }
}

const lineEnd = Uint8Array.of(10)

/**
 * Returns a function that calls another one when this turn of the event loop is over. It uses no timer, since
 * those of hidden tabs are late.
 */
function soon(): (then: () => void) => void {
  const { setImmediate } = globalThis as { setImmediate?(then: () => void): void }
  if (setImmediate) return setImmediate
  const { port1, port2 } = new MessageChannel()
  return (then) => {
    port1.onmessage = then
    port2.postMessage(0)
  }
}
