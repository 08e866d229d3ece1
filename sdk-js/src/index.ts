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
export type { Answer } from './answer.js'
export type { Fetch } from './call.js'
export type { ExchangeEnd, Handler } from './exchange.js'
export type { AddressSpace } from './local-network.js'
export type { Beside } from './message.js'
export type { Arrived, Info } from './request.js'
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
  ClaimAnswer,
  Code,
  Field,
  Limits,
  Policy,
  PolicyBasic,
  PolicyBearer,
  PolicyContent,
  PolicyIP,
  PolicyOffline,
  PolicyOfflineMode,
  PolicyRate,
  PolicyWebhook,
  PolicyWebhookPreset,
  Redeliver,
  Request as RequestEnvelope,
  Response as ResponseEnvelope,
  ResultStatus,
  Trace,
} from './envelope.js'
