// A scripted gateway in a thread of its own, which runs while a handler blocks this one.
import { once } from 'node:events'
import { ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { scriptedGateway } from './scripted-gateway.js'

const lists = ['polls', 'answers']
// Anything that takes longer hangs.
const mostMs = 600_000

/** Starts a scripted gateway. */
export async function gatewayApart(t, script) {
  const counts = new Int32Array(new SharedArrayBuffer(4 * lists.length))
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { script, counts } })
  t.after(() => worker.terminate())
  const [origin] = await once(worker, 'message')
  let hung = false
  return {
    origin,
    /** Calls a method of the gateway. */
    async call(method, ...of) {
      worker.postMessage([method, of])
      await once(worker, 'message')
    },
    /**
     * Blocks this thread, like a handler that computes, until the gateway has received a number of polls, or has
     * said so much to answers. Reports whether it has.
     */
    blockUntil(list, n) {
      const at = lists.indexOf(list)
      for (let seen; !hung && (seen = Atomics.load(counts, at)) < n;) {
        hung = Atomics.wait(counts, at, seen, mostMs) === 'timed-out'
      }
      return !hung
    },
  }
}

if (!isMainThread) {
  // Claiming leaves no open connection, so a second poll waits for the connection of the first or opens its own.
  const { writeHead } = ServerResponse.prototype
  ServerResponse.prototype.writeHead = function (...of) {
    if (!/\/(requests|responses)$/.test(this.req.url)) this.setHeader('Connection', 'close')
    return writeHead.apply(this, of)
  }
  const gateway = await scriptedGateway(workerData.script)
  const count = (list) => {
    const at = lists.indexOf(list)
    Atomics.add(workerData.counts, at, 1)
    Atomics.notify(workerData.counts, at)
  }
  const polled = () => {
    count('polls')
    return {}
  }
  const answered = ({ messages }, res) => {
    res.on('finish', () => messages.forEach(() => count('answers')))
    return {}
  }
  gateway.script('requests', ...Array(100).fill(polled))
  gateway.script('responses', ...Array(100).fill(answered))
  parentPort.on('message', async ([method, of]) => {
    await gateway[method](...of)
    parentPort.postMessage('done')
  })
  parentPort.postMessage(gateway.origin)
}
