/** Handlers to begin with: each is a whole program for the editor of the playground. */

/** @type {Record<string, { code: string, curl: (url: string) => string }>} */
export const templates = {
  'JSON API': {
    curl: (url) => `curl '${url}notes' -d '{"text":"buy milk"}'`,
    code: `// A JSON API whose data lives in this tab.
const notes = new Map()
let last = 0

serve(async (request) => {
  const [, kind, id] = new URL(request.url).pathname.split('/')
  if (kind !== 'notes') return Response.json({ try: '/notes' }, { status: 404 })
  switch (request.method) {
    case 'GET':
      if (!id) return Response.json([...notes.values()])
      break
    case 'POST': {
      const note = { ...(await request.json()), id: ++last }
      notes.set(String(note.id), note)
      return Response.json(note, { status: 201, headers: { Location: \`/notes/\${note.id}\` } })
    }
    case 'DELETE':
      return new Response(null, { status: notes.delete(id) ? 204 : 404 })
  }
  const found = notes.get(id)
  return Response.json(found ?? { error: 'no such note' }, { status: found ? 200 : 404 })
})
`,
  },
  Hono: {
    curl: (url) => `curl '${url}hello/you'`,
    code: `// A Hono app: what it routes in Workers and Node it routes here.
import { Hono } from 'hono'

const app = new Hono()
let visits = 0

app.use(async (c, next) => {
  visits++
  await next()
  c.header('X-Visits', String(visits))
})
app.get('/', (c) => c.text('Hono in a tab'))
app.get('/hello/:name', (c) => c.json({ hello: c.req.param('name') }))
app.post('/echo', async (c) => c.json(await c.req.json()))

serve(app.fetch)
`,
  },
  'Server-sent events': {
    curl: (url) => `curl -N '${url}'`,
    code: `// An event each second, until the visitor leaves.
serve((request) => {
  let timer
  const events = new ReadableStream({
    start(controller) {
      let n = 0
      const encoder = new TextEncoder()
      const send = () => controller.enqueue(encoder.encode(\`id: \${++n}\\ndata: \${new Date().toISOString()}\\n\\n\`))
      send()
      timer = setInterval(send, 1000)
    },
    cancel: () => clearInterval(timer),
  })
  return new Response(events, { headers: { 'Content-Type': 'text/event-stream' } })
})
`,
  },
  WebSocket: {
    curl: (url) => `npx wscat -c '${url.replace(/^http/, 'ws')}'`,
    code: `// Everyone who connects gets what the others say.
const sockets = new Set()

serve((request, info) => {
  if (!info.upgrade) return new Response('connect a WebSocket here\\n', { status: 426 })
  const socket = info.upgrade()
  sockets.add(socket)
  socket.onopen = () => socket.send(\`\${sockets.size} of us here\`)
  socket.onmessage = ({ data }) => {
    for (const other of sockets) other.send(data)
  }
  socket.onclose = () => sockets.delete(socket)
})
`,
  },
  'MCP server': {
    curl: (url) => `claude mcp add --transport http playground '${url}mcp'`,
    code: `// An MCP server with one tool, by the official SDK.
import { McpServer, createMcpHandler, fromJsonSchema } from '@modelcontextprotocol/server'

const input = fromJsonSchema({
  type: 'object',
  properties: { sides: { type: 'integer', minimum: 2, maximum: 100 } },
  required: ['sides'],
})

const mcp = createMcpHandler(() => {
  const server = new McpServer({ name: 'dice', version: '1.0.0' })
  server.registerTool('roll', { description: 'Rolls a die.', inputSchema: input }, ({ sides }) => ({
    content: [{ type: 'text', text: String(1 + Math.floor(Math.random() * sides)) }],
  }))
  return server
})

serve((request) => {
  if (new URL(request.url).pathname === '/mcp') return mcp.fetch(request)
  return new Response('MCP at /mcp\\n', { status: 404 })
})
`,
  },
}
