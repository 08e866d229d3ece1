/* The types of a visitor's WebSocket. websocket.ts implements them. */

/** Options of `info.upgrade`. All are optional. */
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
  /** Whether both sides sent a Close frame. */
  readonly wasClean: boolean
}

/** The events of a socket. */
export interface SocketEventMap {
  open: Event
  message: SocketMessageEvent
  error: Event
  close: SocketCloseEvent
}

/**
 * The handler's side of a visitor's WebSocket. It is like WebSocket, with the differences noted.
 */
export interface Socket extends EventTarget {
  readonly CONNECTING: 0
  readonly OPEN: 1
  readonly CLOSING: 2
  readonly CLOSED: 3
  readonly readyState: 0 | 1 | 2 | 3
  /** The URL that the visitor connected to. */
  readonly url: string
  /** The chosen subprotocol, or empty for none. */
  readonly protocol: string
  /** Always empty. */
  readonly extensions: string
  /** The bytes of messages that the gateway has not accepted yet. */
  readonly bufferedAmount: number
  /** The type of binary messages: 'arraybuffer', which is the default here, or 'blob'. */
  binaryType: 'arraybuffer' | 'blob'
  onopen: ((event: Event) => unknown) | null
  onmessage: ((event: SocketMessageEvent) => unknown) | null
  onerror: ((event: Event) => unknown) | null
  onclose: ((event: SocketCloseEvent) => unknown) | null
  /** Sends a message. It may be called before the socket is open. */
  send(data: string | ArrayBufferLike | ArrayBufferView | Blob): void
  /** Closes the socket, with any code that a server may send. */
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
