/**
 * The Model Context Protocol at the URL of a claim, by its official SDK: Streamable HTTP without sessions,
 * for the revision 2026-07-28 and earlier ones. Each request gets its own server, which ends with it.
 */

/** @typedef {typeof import('/vendor/mcp.js')} Sdk */
/** @typedef {InstanceType<Sdk['McpServer']>} Server */

const mostBytes = 64 * 1024
const quietMs = 15_000
const comment = new TextEncoder().encode(': still here\n\n')

/**
 * Returns the handler of MCP requests.
 * @param {Sdk} sdk
 * @param {import('./pulse.js').Pulse} pulse
 * @param {(info: import('/sdk.js').Info) => Server} serverFor makes the server for one request
 * @param {(info: import('/sdk.js').Info, id: unknown) => void} [cancelled] called with the request that a
 * client of an earlier revision than 2026-07-28 cancels; later ones end their request
 * @returns {(request: Request, info: import('/sdk.js').Info) => Promise<Response>}
 */
export function mcpDoor({ createMcpHandler }, pulse, serverFor, cancelled) {
  return async (request, info) => {
    // Pages of other origins are refused (Streamable HTTP, security: Origin must be checked).
    const origin = info.headers.find(([name]) => name.toLowerCase() === 'origin')?.[1]
    if (origin && origin !== new URL(info.base).origin) return refusal(403, 'A page may not call.')
    if (info.content.length > mostBytes) return refusal(413, 'The message is too large.')
    const taken = cancelled && idTakenBack(info.content)
    if (taken !== undefined) cancelled?.(info, taken)
    const mcp = createMcpHandler(() => serverFor(info), {
      // At once, with a comment now and then, since a call that asks a person may wait for minutes.
      responseMode: 'sse',
      keepAliveMs: 0,
      maxSubscriptions: 0,
      maxRequestBodySize: mostBytes,
    })
    const response = await mcp.fetch(request)
    const { body, status, headers } = response
    if (!body || !headers.get('Content-Type')?.startsWith('text/event-stream')) return response
    return new Response(kept(body, pulse), { status, headers })
  }
}

/**
 * Returns a stream of events with a comment after each silence. Each of its chunks is whole events.
 * @param {ReadableStream<Uint8Array>} events
 * @param {import('./pulse.js').Pulse} pulse
 */
function kept(events, pulse) {
  const reader = events.getReader()
  let end = () => {}
  return new ReadableStream({
    start(controller) {
      let saidMs = pulse.now()
      end = pulse.listen(() => {
        const now = pulse.now()
        // A queue that is not empty shows that the client does not read.
        if (now - saidMs < quietMs || (controller.desiredSize ?? 0) <= 0) return
        saidMs = now
        controller.enqueue(comment)
      })
      const next = async () => {
        try {
          for (;;) {
            const { done, value } = await reader.read()
            if (done) break
            saidMs = pulse.now()
            controller.enqueue(value)
          }
          controller.close()
        } catch (e) {
          controller.error(e)
        }
        end()
      }
      void next()
    },
    cancel(reason) {
      end()
      return reader.cancel(reason)
    },
  })
}

/**
 * Returns a text as the result of a tool.
 * @param {string} text
 * @param {boolean} [isError]
 */
export function said(text, isError = false) {
  const content = [{ type: /** @type {const} */ ('text'), text }]
  return { content, ...(isError && { isError }) }
}

/** @param {Uint8Array} content */
function idTakenBack(content) {
  try {
    const { method, params } = JSON.parse(new TextDecoder().decode(content))
    return method === 'notifications/cancelled' ? params?.requestId : undefined
  } catch {
    return undefined
  }
}

/**
 * @param {number} status
 * @param {string} message
 */
function refusal(status, message) {
  const error = { code: -32_000, message }
  return Response.json({ jsonrpc: '2.0', error, id: null }, { status })
}
