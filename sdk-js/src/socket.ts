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
  /** The code of the visitor's Close frame (RFC 6455, 7.4); 1005 if it had none, 1006 if none came. */
  readonly code: number
  /** The reason in that frame; may be empty. */
  readonly reason: string
  /** Whether both sides sent a Close frame. */
  readonly wasClean: boolean
}

/** The events of a socket. */
export interface SocketEventMap {
  /** The 101 is on its way to the visitor, and messages pass. */
  open: Event
  /** A message came. */
  message: SocketMessageEvent
  /** The connection failed; `close` follows. */
  error: Event
  /** The socket is closed. */
  close: SocketCloseEvent
}

/**
 * The handler's side of a visitor's WebSocket. It is like WebSocket, with the differences noted.
 */
export interface Socket extends EventTarget {
  /** The `readyState` before the 101 is on its way to the visitor. */
  readonly CONNECTING: 0
  /** The `readyState` while messages pass. */
  readonly OPEN: 1
  /** The `readyState` once one side has begun to close. */
  readonly CLOSING: 2
  /** The `readyState` at the end. */
  readonly CLOSED: 3
  /** The state, one of the four above. */
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
  /** A listener of `open`. Null: none. */
  onopen: ((event: Event) => unknown) | null
  /** A listener of `message`. Null: none. */
  onmessage: ((event: SocketMessageEvent) => unknown) | null
  /** A listener of `error`. Null: none. */
  onerror: ((event: Event) => unknown) | null
  /** A listener of `close`. Null: none. */
  onclose: ((event: SocketCloseEvent) => unknown) | null
  /** Sends a message. It may be called before the socket is open. */
  send(data: string | ArrayBufferLike | ArrayBufferView | Blob): void
  /** Closes the socket, with any code that a server may send. */
  close(code?: number, reason?: string): void
  /** Adds a listener, as every EventTarget does. */
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
