/* What a handler sees of a WebSocket; websocket.ts makes it. */

/** Options of `info.upgrade`. Each may be absent. */
export interface UpgradeOptions {
  /** The subprotocol, one of those that the visitor offers. Absent: none. */
  protocol?: string | undefined
  /** The largest message of the visitor, in bytes; a larger one closes with 1009. Absent: 16 MiB. */
  messageBytes?: number | undefined
}

/** A message of the visitor. */
export interface SocketMessageEvent extends Event {
  /** A string, an ArrayBuffer or a Blob. */
  readonly data: any
}

/** The socket is closed. */
export interface SocketCloseEvent extends Event {
  readonly code: number
  readonly reason: string
  /** Both sides said so. */
  readonly wasClean: boolean
}

/** The events of a socket. */
export interface SocketEventMap {
  open: Event
  message: SocketMessageEvent
  error: Event
  close: SocketCloseEvent
}

/** The handler's side of a visitor's WebSocket: what WebSocket is, but for what is noted. */
export interface Socket extends EventTarget {
  readonly CONNECTING: 0
  readonly OPEN: 1
  readonly CLOSING: 2
  readonly CLOSED: 3
  readonly readyState: 0 | 1 | 2 | 3
  /** The URL that the visitor connected to. */
  readonly url: string
  /** The subprotocol chosen; empty for none. */
  readonly protocol: string
  /** Always empty. */
  readonly extensions: string
  /** The bytes of messages that the gateway has not taken. */
  readonly bufferedAmount: number
  /** What binary messages come as: 'arraybuffer', which is the default here, or 'blob'. */
  binaryType: 'arraybuffer' | 'blob'
  onopen: ((event: Event) => unknown) | null
  onmessage: ((event: SocketMessageEvent) => unknown) | null
  onerror: ((event: Event) => unknown) | null
  onclose: ((event: SocketCloseEvent) => unknown) | null
  /** Sends a message. It may be called before the socket is open. */
  send(data: string | ArrayBufferLike | ArrayBufferView | Blob): void
  /** Closes, with any code that a server may send. */
  close(code?: number, reason?: string): void
  addEventListener<K extends keyof SocketEventMap>(
    type: K,
    listener: (event: SocketEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void
}
