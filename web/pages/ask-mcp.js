/**
 * The person behind the URL as a tool of agents: an MCP server with one tool, ask_human. Its call
 * waits until the person has answered, as any other request does.
 */
import { mcpDoor } from './mcp-door.js'
import { mostName, mostOption, mostOptions, mostText } from './questions.js'

const progressMs = 10_000
const words = {
  declined: 'The person does not want to answer this.',
  left: 'The question was withdrawn.',
  expired:
    'Nobody answered in time. The person may be away: go on without them, or ask again later.',
  lost: 'The person closed the page before there was an answer.',
}

const asked = {
  type: 'object',
  properties: {
    question: {
      type: 'string',
      minLength: 1,
      maxLength: mostText,
      description: 'What to ask. Say all that the person must know to answer: they see only this.',
    },
    options: {
      type: 'array',
      maxItems: mostOptions,
      items: { type: 'string', minLength: 1, maxLength: mostOption },
      description: 'Answers to tap, if there are some to choose from. The person may type another.',
    },
  },
  required: ['question'],
  additionalProperties: false,
}

/**
 * Returns the handler of MCP requests that ask a person.
 * @param {import('./mcp-door.js').Sdk} sdk
 * @param {import('./pulse.js').Pulse} pulse
 * @param {import('./questions.js').Questions} questions
 */
export function askMcp(sdk, pulse, questions) {
  /** @type {Map<string, Set<string>>} ids of questions that wait, by who asks and the id of the call */
  const calls = new Map()
  return mcpDoor(sdk, pulse, serverFor, takeBack)

  /** @param {import('/sdk.js').Info} info */
  function serverFor(info) {
    const server = new sdk.McpServer(
      { name: 'ask-human', title: 'Ask a person', version: '1.0.0' },
      { instructions: 'A person is behind this server. Ask them what only a person can decide.' },
    )
    server.registerTool(
      'ask_human',
      {
        title: 'Ask a person',
        description:
          'Asks a person a question, and waits for the answer, which may take minutes. Use it before what cannot be undone, and where only they know.',
        inputSchema: sdk.fromJsonSchema(/** @type {any} */ (asked)),
        annotations: { readOnlyHint: true, openWorldHint: true },
      },
      (/** @type {any} */ args, context) => ask(args, info, context),
    )
    return server
  }

  /**
   * @param {{ question: string, options?: string[] }} args
   * @param {import('/sdk.js').Info} info
   * @param {any} context
   */
  async function ask({ question: text, options = [] }, info, { mcpReq }) {
    if (!text.trim()) return failed('Say what you ask.')
    const client = mcpReq.envelope?.['io.modelcontextprotocol/clientInfo']
    const name = client?.title ?? client?.name ?? 'An agent'
    const question = questions.add({
      text: text.trim(),
      options: [...new Set(options.map((option) => option.trim()).filter(Boolean))],
      from: `${name}`.slice(0, mostName),
      address: info.remoteAddr.replace(/:\d+$/, ''),
      later: false,
      forMs: info.timeoutMs,
    })
    if (!question) return failed('Too many questions wait already. Ask again later.')
    const signal = AbortSignal.any([mcpReq.signal, info.signal])
    const call = callOf(info, mcpReq.id)
    const mine = calls.get(call) ?? new Set()
    calls.set(call, mine.add(question.id))
    const stop = tellProgress(mcpReq)
    await questions.ended(question, info.timeoutMs, signal)
    stop()
    mine.delete(question.id)
    if (!mine.size) calls.delete(call)
    questions.end(question.id, endOf(signal, info.signal))
    if (question.state === 'answered') {
      return { content: [{ type: /** @type {const} */ ('text'), text: question.answer }] }
    }
    return failed(words[/** @type {keyof typeof words} */ (question.state)])
  }

  /**
   * Has a client that wants to hear of progress know that the question still waits, so that it does too.
   * @param {any} mcpReq
   */
  function tellProgress({ _meta, notify }) {
    const progressToken = _meta?.progressToken
    if (progressToken === undefined) return () => {}
    let progress = 0
    let toldMs = pulse.now()
    return pulse.listen(() => {
      const now = pulse.now()
      if (now - toldMs < progressMs) return
      toldMs = now
      const params = {
        progressToken,
        progress: ++progress,
        message: 'The person sees the question.',
      }
      notify({ method: 'notifications/progress', params }).catch(() => {})
    })
  }

  /**
   * Withdraws the question of a call. Calls have no session, so it is that of the same address and id,
   * if there is one only.
   * @param {import('/sdk.js').Info} info
   * @param {unknown} id
   */
  function takeBack(info, id) {
    const mine = calls.get(callOf(info, id))
    if (mine?.size === 1) for (const question of mine) questions.end(question, 'left')
  }
}

/**
 * @param {import('/sdk.js').Info} info
 * @param {unknown} id
 */
function callOf({ remoteAddr, headers }, id) {
  const agent = headers.find(([name]) => name.toLowerCase() === 'user-agent')?.[1] ?? ''
  return JSON.stringify([remoteAddr.replace(/:\d+$/, ''), agent, id])
}

/**
 * @param {AbortSignal} signal
 * @param {AbortSignal} ofExchange
 */
function endOf({ aborted }, { reason }) {
  if (!aborted) return 'expired'
  return reason?.message === 'closed' ? 'lost' : 'left'
}

/** @param {string} text */
function failed(text) {
  return { isError: true, content: [{ type: /** @type {const} */ ('text'), text }] }
}
