import type { Trace } from './envelope.js'

/** The error of this SDK. Branch on `code`, never on the text. */
export class ReverseHttpError extends Error {
  // Minified classes lose their names, and Node shows both.
  static override readonly name = 'ReverseHttpError'
  /** Always `ReverseHttpError`. */
  override name = 'ReverseHttpError'
  /**
   * What happened: a `code` of the gateway (see schema/README.md, section 8), or one of the SDK's own: `network` (no
   * answer came), `unexpected` (an answer that is not one of this protocol), `handler_failed` (the handler threw or
   * returned no Response) and `invalid` (its answer, or part of it, cannot be sent).
   */
  declare readonly code: string
  /** The status of the gateway's answer, or 0 if there was none. */
  declare readonly status: number
  /**
   * The gateway's explanation for people, or a likely one if it sent none, without the URL in `message`. May be empty.
   */
  declare readonly detail: string
  /** How long the gateway asks to wait before the next try, in milliseconds, or 0 if it did not ask. */
  declare readonly retryAfterMs: number
  /** The trace of the request that the error is about. Absent: it is about none, or the gateway began no trace. */
  declare readonly trace?: Trace | undefined

  /** Programs do not need it. Absent facts are 0 or empty. */
  constructor(
    code: string,
    message: string,
    {
      cause,
      ...facts
    }: {
      status?: number
      detail?: string
      retryAfterMs?: number
      trace?: Trace | undefined
      cause?: unknown
    } = {},
  ) {
    super(message, { cause })
    Object.assign(this, { code, status: 0, detail: '', retryAfterMs: 0 }, facts)
  }
}

/**
 * Reports whether the same request would be refused again. A refusal without a known code comes from an intermediary, and
 * is temporary unless it is about the size. A request that arrived malformed was damaged on the way.
 */
export function refused({ status, code }: ReverseHttpError): boolean {
  if (code === 'unexpected' || code === 'bad_request') return status === 413
  return status >= 400 && status < 500 && status !== 408 && status !== 429
}

/** Reports whether the session is over, so that another one is needed. */
export function over({ status, code }: ReverseHttpError): boolean {
  return [404, 409, 410].includes(status) || code === 'bad_cursor'
}
