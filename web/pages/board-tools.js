/** The MCP server of the board: tools that read and change it, with their arguments and effects. */
import { colors, mostText, mostTitle } from './board.js'
import { mcpDoor, said } from './mcp-door.js'
import { clientOf, hostOf } from './mcp-question.js'

const text = { type: 'string', minLength: 1, maxLength: mostText }
const id = { type: 'integer', description: 'The number of a note, as in read_board.' }

/**
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} title
 * @property {string} description
 * @property {Record<string, object>} takes
 * @property {string[]} [needs]
 * @property {boolean} [reads] whether it changes nothing
 * @property {boolean} [removes] whether its effect cannot be undone
 * @property {(board: import('./board.js').Board, args: any) => string} run returns the text for the agent
 */

/** @type {Tool[]} */
export const tools = [
  {
    name: 'read_board',
    title: 'Read the board',
    description: 'Returns the title, the colour and the notes of the board, as JSON.',
    takes: {},
    reads: true,
    run: (board) => `${board}`,
  },
  {
    name: 'add_note',
    title: 'Add a note',
    description: 'Adds a note to the board, and returns its number.',
    takes: { text },
    needs: ['text'],
    run: (board, args) => `Added note ${board.add(args.text)}.`,
  },
  {
    name: 'change_note',
    title: 'Change a note',
    description: 'Changes the text of a note, or marks it as done or not done.',
    takes: { id, text, done: { type: 'boolean' } },
    needs: ['id'],
    run: (board, args) => (board.change(args.id, args), `Changed note ${args.id}.`),
  },
  {
    name: 'remove_note',
    title: 'Remove a note',
    description: 'Removes a note from the board.',
    takes: { id },
    needs: ['id'],
    removes: true,
    run: (board, args) => (board.remove(args.id), `Removed note ${args.id}.`),
  },
  {
    name: 'set_board',
    title: 'Set title and colour',
    description: 'Sets the title of the board, its colour, or both.',
    takes: {
      title: { type: 'string', minLength: 1, maxLength: mostTitle },
      color: { enum: colors },
    },
    run: (board, args) => (board.set(args), 'Done.'),
  },
]

/**
 * Returns the handler of MCP requests to the board.
 * @param {import('./mcp-door.js').Sdk} sdk
 * @param {import('./pulse.js').Pulse} pulse
 * @param {import('./board.js').Board} board
 * @param {object} calls
 * @param {(tool: Tool, args: object, info: import('/sdk.js').Info, mcpReq: any) => Promise<string>} calls.allow
 *   resolves to why the call is refused, or to nothing
 * @param {(tool: Tool, args: object, who: string, result: { text: string, isError: boolean }) => void} calls.ended
 * @param {(info: import('/sdk.js').Info, id: unknown) => void} calls.takeBack
 */
export function boardMcp(sdk, pulse, board, { allow, ended, takeBack }) {
  return mcpDoor(sdk, pulse, serverFor, takeBack)

  /** @param {import('/sdk.js').Info} info */
  function serverFor(info) {
    const server = new sdk.McpServer(
      { name: 'board', title: 'A board in a browser tab', version: '1.0.0' },
      { instructions: 'The board is a web page that a person looks at. They see each change.' },
    )
    for (const tool of tools) {
      const { name, title, description, takes, needs = [], reads = false, removes = false } = tool
      const schema = {
        type: 'object',
        properties: takes,
        required: needs,
        additionalProperties: false,
      }
      server.registerTool(
        name,
        {
          title,
          description,
          inputSchema: sdk.fromJsonSchema(/** @type {any} */ (schema)),
          annotations: { readOnlyHint: reads, destructiveHint: removes, openWorldHint: false },
        },
        async (/** @type {any} */ args, { mcpReq }) => {
          const result = await call(tool, args, info, mcpReq)
          ended(tool, args, `${clientOf(mcpReq)} (${hostOf(info)})`, result)
          return said(result.text, result.isError)
        },
      )
    }
    return server
  }

  /**
   * @param {Tool} tool
   * @param {object} args
   * @param {import('/sdk.js').Info} info
   * @param {any} mcpReq
   */
  async function call(tool, args, info, mcpReq) {
    const why = await allow(tool, args, info, mcpReq)
    if (why) return { text: why, isError: true }
    try {
      return { text: tool.run(board, args), isError: false }
    } catch (e) {
      return { text: /** @type {Error} */ (e).message, isError: true }
    }
  }
}
