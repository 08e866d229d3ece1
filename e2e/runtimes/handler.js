/**
 * Makes the handler of a runtime with sdk-js. It sends the answer to the case that the field Vector names, and reports
 * each request as the SDK shows it. It uses nothing outside itself, because it is sent to a page as text.
 */
export function vectorHandler(answers, report) {
  const toBase64 = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(''))
  const toBytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

  return async (request, info) => {
    const { method, target, url, base, httpVersion, remoteAddr, attempt, headers } = info
    const content = new Uint8Array(await request.arrayBuffer())
    const shown = {
      method: request.method,
      url: request.url,
      headers: [...request.headers],
      bodyBase64: toBase64(content),
    }
    await report({
      ...{ method, target, url, base, httpVersion, remoteAddr, attempt, headers },
      bodyBase64: toBase64(info.body ? content : info.content),
      request: shown,
    })
    const name = headers.find((f) => f[0] === 'Vector')[1]
    const { status, headers: fields = [], bodyBase64 = '' } = answers[name]
    const response = new Response(bodyBase64 ? toBytes(bodyBase64) : null, { status })
    const times = (name) => fields.filter((f) => f[0].toLowerCase() === name.toLowerCase()).length
    for (const [name, value] of fields) {
      // Response keeps only the values of Set-Cookie separate, and in a browser hides that field.
      const hidden = /^set-cookie$/i.test(name) && globalThis.document
      if (hidden || (times(name) > 1 && !/^set-cookie$/i.test(name))) {
        info.responseHeaders.push([name, value])
      } else {
        response.headers.append(name, value)
      }
    }
    return response
  }
}
