import { serve } from './built.js'
import { request, scriptedGateway, until } from './scripted-gateway.js'

/** Serves a handler at a scripted gateway until the end of the test. */
export async function serving(t, handler, options) {
  const gateway = await scriptedGateway()
  const claim = await serve(handler, { gateway: gateway.origin, drainMs: 0, ...options })
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  let n = 0
  /** Delivers a request and returns the answer. */
  async function exchange(members) {
    const id = `x${++n}`
    await gateway.deliver(request(id, members))
    const answer = () => gateway.seen.answers.find((a) => a.id === id)
    await until(answer, `an answer to ${id}`)
    return answer()
  }
  return { gateway, claim, exchange }
}
