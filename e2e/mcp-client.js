// Clients of the Model Context Protocol, by its official SDK.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

/** How clients negotiate the revision, by name: the newest one, or the earlier handshake. */
export const eras = {
  '2026-07-28': { mode: { pin: '2026-07-28' } },
  '2025-11-25': { mode: 'legacy' },
}

/** Connects a client of an era to a URL. */
export async function connectClient(url, era, { title = 'Test agent' } = {}) {
  const client = new Client(
    { name: 'test-agent', title, version: '1.0.0' },
    { versionNegotiation: eras[era] },
  )
  await client.connect(new StreamableHTTPClientTransport(new URL(url)))
  return client
}
