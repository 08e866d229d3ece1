export { serve } from './serve.js'
export type { ServeOptions } from './options.js'
export type {
  Claim,
  ClaimErrorEvent,
  ClaimEventMap,
  ExchangeEvent,
  State,
  StateChangeEvent,
} from './claim.js'
export { ReverseHttpError } from './error.js'
export type { Fetch } from './call.js'
export type { ExchangeEnd, Handler } from './exchange.js'
export type { Info } from './request.js'
export type { LinkSocket, LinkSocketConstructor } from './session.js'
export type {
  Socket,
  SocketCloseEvent,
  SocketEventMap,
  SocketMessageEvent,
  UpgradeOptions,
} from './socket.js'
export type { OwnershipStorage } from './storage.js'
export type { WaitOptions } from './wait.js'
export type {
  Code,
  Field,
  Policy,
  Redeliver,
  Request as RequestEnvelope,
  Response as ResponseEnvelope,
  ResultStatus,
  Trace,
} from './envelope.js'
