// The handler that a page and Node serve: the paths that the bench asks them for.

// The block of which the bench makes its content.
let x = 1
const block = Uint8Array.from({ length: 65536 }, () => {
  x = (Math.imul(x, 1664525) + 1013904223) >>> 0
  return x >>> 24
})
const file = new File(Array(1024).fill(block), 'file') // 64 MiB

const small = 'ReverseHttp lends URL space. OK\n'.repeat(32) // 1 KiB

/** Answers a request, or echoes what comes by a WebSocket. */
export async function handle(request, info) {
  const url = new URL(request.url)
  if (url.pathname === '/small') return new Response(small)
  if (url.pathname === '/socket') {
    const socket = info.upgrade()
    socket.onmessage = ({ data }) => socket.send(data)
    return undefined
  }
  if (url.pathname === '/content') {
    return new Response(file.slice(0, Number(url.searchParams.get('bytes'))))
  }
  const headers = { 'Content-Type': request.headers.get('Content-Type') }
  return new Response(await request.arrayBuffer(), { headers })
}
