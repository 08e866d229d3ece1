/** The error of this SDK. Branch on `code`, never on the text. */
export class ReverseHttpError extends Error {
  // Classes lose their names in what is minified, and Node shows both.
  static override readonly name = 'ReverseHttpError'
  override name = 'ReverseHttpError'
  /**
   * What happened: a `code` of the gateway (see schema/README.md, section 8), or one of the SDK's own:
   * `network` (no answer came), `unexpected` (an answer that no gateway of this protocol gives),
   * `handler_failed` (the handler threw or gave no Response) and `invalid` (its answer cannot be sent, or not all of it).
   */
  declare readonly code: string
  /** The status of the gateway's answer; 0 where there was none. */
  declare readonly status: number
  /** What the gateway said, or is likely where it said nothing, for people, without the URL that the message names; may be empty. */
  declare readonly detail: string
  /** How long the gateway asks to wait before the next try; 0 where it did not say. */
  declare readonly retryAfterMs: number

  constructor(
    code: string,
    message: string,
    {
      cause,
      ...facts
    }: { status?: number; detail?: string; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause })
    Object.assign(this, { code, status: 0, detail: '', retryAfterMs: 0 }, facts)
  }
}

/**
 * Tells whether the same again would be refused again. A refusal without a code of ours comes from something in between,
 * and passes unless it is about the size; and what is malformed when it comes was whole when it left.
 */
export function refused({ status, code }: ReverseHttpError): boolean {
  if (code === 'unexpected' || code === 'bad_request') return status === 413
  return status >= 400 && status < 500 && status !== 408 && status !== 429
}

/** Tells whether its session is over; another one is needed. */
export function over({ status, code }: ReverseHttpError): boolean {
  return [404, 409, 410].includes(status) || code === 'bad_cursor'
}
