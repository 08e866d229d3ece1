/**
 * The person behind the URL as a tool of agents: an MCP server with one tool, ask_human. Its call
 * waits until the person has answered, as any other request does.
 */
import { mcpDoor, said } from './mcp-door.js'
import { CallQuestions } from './mcp-question.js'
import { mostOption, mostOptions, mostText } from './questions.js'

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
      description:
        'The question. Include everything that the person must know to answer: they see only this.',
    },
    options: {
      type: 'array',
      maxItems: mostOptions,
      items: { type: 'string', minLength: 1, maxLength: mostOption },
      description: 'Answers to choose from, if there are any. The person may type another.',
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
  const calls = new CallQuestions(questions, pulse)
  return mcpDoor(sdk, pulse, serverFor, calls.takeBack)

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
          'Asks a person a question, and waits for the answer, which may take minutes. Use it before irreversible steps, and for what only they know.',
        inputSchema: sdk.fromJsonSchema(/** @type {any} */ (asked)),
        annotations: { readOnlyHint: true, openWorldHint: true },
      },
      (/** @type {any} */ args, { mcpReq }) => ask(args, info, mcpReq),
    )
    return server
  }

  /**
   * @param {{ question: string, options?: string[] }} args
   * @param {import('/sdk.js').Info} info
   * @param {any} mcpReq
   */
  async function ask({ question, options = [] }, info, mcpReq) {
    const text = question.trim()
    if (!text) return said('The question is empty.', true)
    const trimmed = options.map((option) => option.trim()).filter(Boolean)
    const ended = await calls.ask({ text, options: [...new Set(trimmed)] }, info, mcpReq)
    if (!ended) {
      return said('Too many questions wait already, or you ask too often. Ask again later.', true)
    }
    if (ended.state === 'answered') return said(ended.answer)
    return said(words[/** @type {keyof typeof words} */ (ended.state)], true)
  }
}
