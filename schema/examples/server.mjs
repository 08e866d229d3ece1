// Answers HTTP requests with fetch, several at a time: node server.mjs [GATEWAY [LABEL]]
const hello = ({ method, target }) => ({ status: 200, body: `${method} ${target}\n` })

async function call(method, url, bearer, message) {
  const headers = { Authorization: bearer, 'Content-Type': 'application/json' }
  const response = await fetch(url, { method, headers, body: message && JSON.stringify(message) })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return Buffer.from(await response.arrayBuffer())
}

async function answer(handler, request, claim, bearer) {
  const { id, body, bodyBase64, bodyUrl, upgrade } = request
  let message = { type: 'abort', id }
  try {
    let content = Buffer.from(bodyBase64 ?? body ?? '', bodyBase64 && 'base64')
    // Long content has a URL. So has a WebSocket's, which has no end.
    if (bodyUrl && !upgrade) content = await call('GET', bodyUrl, bearer)
    message = { type: 'response', id, ...(await handler(request, content)) }
  } catch (e) {
    message.reason = e.message
  }
  await call('POST', claim.responses, bearer, message).catch(console.error)
}

export async function serve(handler, gateway = 'http://localhost:8080', label) {
  for (let claim = { label }; ; await new Promise((wake) => setTimeout(wake, 1000))) {
    try {
      // The answer holds the token, which has the label back later.
      claim = JSON.parse(await call('POST', `${gateway.replace(/\/+$/, '')}/claims`, '', claim))
      const bearer = `Bearer ${claim.token}`
      console.log(claim.url)
      for (;;) {
        const batch = await call('GET', claim.requests, bearer)
        if (!batch.length) continue // Nothing came within the wait.
        for (const message of JSON.parse(batch).messages)
          if (message.type === 'request') answer(handler, message, claim, bearer)
      }
    } catch (e) {
      console.error(e.cause ? `${gateway}: ${e.cause.code ?? e.cause}` : e.message)
    }
  }
}

if (process.argv[1] === import.meta.filename) serve(hello, ...process.argv.slice(2))
