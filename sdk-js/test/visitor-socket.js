// The visitor's end of a WebSocket, byte by byte, at a scripted gateway: frames built and read by hand.
import { request, until } from './scripted-gateway.js'

/** Returns a frame as a visitor sends it. Each member can be made wrong. */
export function frame(
  opcode,
  payload = '',
  { fin = true, rsv = 0, mask = [1, 2, 3, 4], length, wide } = {},
) {
  const bytes = Buffer.from(payload)
  const size = length ?? bytes.length
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode]
  const width = wide ?? (size < 126 ? 0 : size < 65536 ? 2 : 8)
  head.push((mask ? 0x80 : 0) | (width === 0 ? size : width === 2 ? 126 : 127))
  const more = Buffer.alloc(width)
  if (width === 2) more.writeUInt16BE(size)
  if (width === 8) more.writeBigUInt64BE(BigInt(size))
  const masked = bytes.map((byte, i) => byte ^ (mask?.[i & 3] ?? 0))
  return Buffer.concat([Buffer.from(head), more, Buffer.from(mask ?? []), masked])
}

/** Returns the payload of a Close frame. */
export function closing(code, reason = '') {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(code)
  return Buffer.concat([bytes, Buffer.from(reason)])
}

/** Parses the frames that the handler sent: opcode and payload, which for a Close frame is its code. Throws if one is invalid. */
export function framesOf(bytes) {
  const frames = []
  while (bytes.length > 1) {
    const [first, second] = bytes
    if ((first & 0xf0) !== 0x80 || second & 0x80) throw new Error(`a bad frame: ${first} ${second}`)
    const wide = second === 126 ? 2 : second === 127 ? 8 : 0
    const length = !wide
      ? second
      : wide === 2
        ? bytes.readUInt16BE(2)
        : Number(bytes.readBigUInt64BE(2))
    if (bytes.length < 2 + wide + length) break
    const payload = bytes.subarray(2 + wide, 2 + wide + length)
    const opcode = first & 15
    frames.push([
      opcode,
      opcode === 1
        ? payload.toString()
        : opcode === 8
          ? payload.length
            ? payload.readUInt16BE(0)
            : 1005
          : payload.toString('latin1'),
    ])
    bytes = bytes.subarray(2 + wide + length)
  }
  return frames
}

/** Delivers the request of a visitor to upgrade. */
export async function connect(gateway, id = 'x1', { headers = [], ...members } = {}) {
  let content
  const requested = new Promise((resolve) => {
    gateway.script('content', (_, res) => {
      content = res
      res.writeHead(200).flushHeaders()
      resolve()
      return { silent: true }
    })
  })
  await gateway.deliver(
    request(id, {
      upgrade: 'websocket',
      bodyUrl: '{origin}/content',
      headers: [['Host', 'demo.localhost:8080'], ...headers],
      ...members,
    }),
  )
  const messages = () => gateway.seen.answers.filter((a) => a.id === id)
  const bytes = () =>
    Buffer.concat(
      messages()
        .slice(1)
        .map(({ body, bodyBase64 }) =>
          Buffer.from(body ?? bodyBase64 ?? '', bodyBase64 && 'base64'),
        ),
    )
  return {
    messages,
    /** Settles once the program fetches the visitor's content. */
    asked: () => requested,
    frames: () => framesOf(bytes()),
    /** Sends bytes, in pieces of a size if one is given. */
    async send(all, size = all.length) {
      await requested
      for (let at = 0; at < all.length; at += size) {
        await new Promise((resolve) => content.write(all.subarray(at, at + size), resolve))
      }
    },
    async end() {
      await requested
      content.end()
    },
    async cut() {
      await requested
      content.destroy()
    },
    /** Waits for the last part. */
    ended: () => until(() => messages().some((m, i) => i && !m.more), 'the last part'),
  }
}
