// A provider of OpenID Connect, the certified oidc-provider, which signs everybody in as ann.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { generateKeyPairSync } from 'node:crypto'
import { Provider } from 'oidc-provider'

/**
 * Starts a provider on a free port of loopback, with one public client.
 * @param {string[]} redirects the URLs that the client registered
 */
export async function startProvider(redirects) {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://localhost:${server.address().port}`
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const provider = new Provider(url, {
    clients: [
      {
        client_id: 'demo',
        redirect_uris: redirects,
        grant_types: ['authorization_code'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
      },
    ],
    jwks: { keys: [privateKey.export({ format: 'jwk' })] },
    clientBasedCORS: () => true,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    async loadExistingGrant({ oidc }) {
      const grant = new provider.Grant({
        clientId: oidc.client.clientId,
        accountId: oidc.session.accountId,
      })
      grant.addOIDCScope('openid')
      await grant.save()
      return grant
    },
  })
  const serve = provider.callback()
  server.on('request', async (request, response) => {
    const [, interaction, , choice] = request.url.split('/')
    if (interaction !== 'interaction') return serve(request, response)
    if (!choice) {
      const links = `<a href="${request.url}/yes">Sign in</a> <a href="${request.url}/no">Refuse</a>`
      return response.writeHead(200, { 'Content-Type': 'text/html' }).end(links)
    }
    const refused = { error: 'access_denied', error_description: 'not today' }
    const result = choice === 'yes' ? { login: { accountId: 'ann' } } : refused
    await provider.interactionFinished(request, response, result)
  })
  return {
    url,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
