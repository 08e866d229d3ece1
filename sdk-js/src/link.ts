/*
 * The link of a session (schema/README.md, 4): a WebSocket that carries its messages both ways, and is its poll.
 *
 *   opening   asked for; given up after a while. Polls may run beside it until it connects: the gateway takes whatever
 *             comes later for the newer, so none is left when it says hello, and none begins then
 *   open      welcomed: the gateway ends the poll
 *   over      closed, or silent for longer than a gateway is. What it sent and has no result yet goes back to
 *             whoever sent it, and is posted
 *
 * What comes is handed on at once, or in its turn after what computes for long. The cursor names what was handed on,
 * and is said when a message comes or is handed on, never by a timer: those of hidden tabs are late.
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

// Before a poll runs beside it, and before it is given up.
const headStartMs = 250
const openMs = 4_000
const silentMs = 10_000
// A stream may have so many messages on its way, and leaves this part of the window of the link to whole answers.
const mostMessages = 4_096
const wholeShare = 1 / 4
// Of a message of the WebSocket, and of a line in the framed form.
const mostBytes = 262_144
const ackMs = 1_000
const ackBytes = 65_536

/** What was sent and has no result. */
interface Sent {
  of: Sendable
  bytes: number
  flow: Flow | undefined
  lost(all: Sendable[]): unknown
}

/** A link from its opening to its end. */
export class Link implements OpenLink {
  open = false
  /** Something took the upgrade: it is about to be open. */
  connected = false
  /** A poll took its place, or another link. */
  replaced = false
  /** The gateway said why it ends it. */
  refused = false
  /** Ends the poll that runs beside it, or ran. */
  beside: (() => Promise<unknown>) | undefined
  /** Resolves once it is open, or over. */
  readonly opened: Promise<void>
  /** Resolves when it is over; rejects where that tells of trouble. */
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
  /** Ends the wait for the next sign of the gateway. */
  #stop: () => void
  #heardMs = 0
  #ackedMs = 0
  #acked: string | undefined
  /** How much came since. */
  #unacked = 0
  /** What came and waits for its turn. */
  #queue: (Arrived | Cancel)[] = []
  #handing = false
  /** Something came through. */
  #passed = false
  #exchangeWindow = 0
  #free = 0
  /** What streams leave free of that. */
  #left = 0
  readonly #sent = new Map<string, Sent[]>()
  #outgoing: Uint8Array[] = []
  #outgoingBytes = 0
  /** Something was sent in this turn of the event loop. */
  #flushed = false
  readonly #soon = soon()

  /**
   * `alone` says that no poll is to run beside it. `ended` is told when it is over, and whether links are of no use here
   * for a while.
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
      // By another program. A poll of this one would do it again with each try.
      if (this.replaced && !this.beside) this.#end()
      else this.#fail(`closed with ${code}`)
    })
    listen('error', () => {})
    this.#stop = patience(openMs, () => this.#fail('not opened in time'))
  }

  /** Waits a little for it to connect, or as long as it may take where it is alone; then until it is open, or over. */
  async headStart(): Promise<void> {
    const ms = this.#sinceMs + (this.#alone ? openMs : headStartMs) - performance.now()
    if (!this.connected && !this.#ended && ms > 0) await this.changed.wait(ms)
    if (this.connected) await this.opened
  }

  /** Ends it: this program polls otherwise, or not at all. */
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
    // A stream that is not taken leaves as much free as it holds.
    return own + bytes <= window && left >= (own && own + bytes)
  }

  send<S extends Sendable>(messages: S[], lost: (all: S[]) => unknown, flow?: Flow): boolean {
    // What is to be posted of a stream, which found no room here.
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
      // A little later: answers that become ready together go together, and what follows in the same turn of the event
      // loop goes when it ends.
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

  /** Ends it when nothing came for as long as a gateway is never silent. */
  #watch(ms: number): void {
    const dueMs = performance.now() + ms
    const timer = setTimeout(async () => {
      // The program stood still, or its timers are late: what came meanwhile is not read yet.
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
    // Something between changed it: polls are another way.
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

/** Makes what calls a function when this turn of the event loop is over: not by a timer, for those of hidden tabs are late. */
function soon(): (then: () => void) => void {
  const { setImmediate } = globalThis as { setImmediate?(then: () => void): void }
  if (setImmediate) return setImmediate
  const { port1, port2 } = new MessageChannel()
  return (then) => {
    port1.onmessage = then
    port2.postMessage(0)
  }
}
