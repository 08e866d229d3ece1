// A page that may not reach every network, imitated by globals of a page. e2e tests the behaviour of browsers.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { serve } from './built.js'
import { scriptedGateway } from './scripted-gateway.js'

const own = Object.getOwnPropertyDescriptors(globalThis)
const mocked = ['addEventListener', 'document', 'fetch', 'isSecureContext', 'location', 'navigator']
let asked, permission

beforeEach(() => {
  asked = []
  permission = Object.assign(new EventTarget(), { state: 'granted' })
  page('https://tab.example')
  const query = async ({ name }) => {
    if (!name.endsWith('-network')) throw new TypeError(name)
    return permission
  }
  mock('addEventListener', () => {})
  mock('document', new EventTarget())
  mock('isSecureContext', true)
  mock('navigator', { permissions: { query }, userActivation: { isActive: false } })
  mock('fetch', (url, init) => {
    asked.push([new URL(url).pathname, init.targetAddressSpace])
    return own.fetch.value(url, init)
  })
})
afterEach(() => {
  for (const name of [...mocked, 'origin']) {
    if (own[name]) Object.defineProperty(globalThis, name, own[name])
    else delete globalThis[name]
  }
})

const mock = (name, value) =>
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })

function page(origin) {
  mock('origin', origin)
  mock('location', { origin, protocol: new URL(origin).protocol })
}

async function served(t, options) {
  const gateway = await scriptedGateway()
  const claim = await serve(() => new Response(), {
    gateway: gateway.origin,
    storage: null,
    drainMs: 0,
    ...options,
  })
  t.after(async () => {
    await claim.close()
    await gateway.close()
  })
  return gateway
}

test('each request to this machine has its address space', async (t) => {
  const gateway = await served(t)
  assert.ok(gateway.seen.claims.length)
  assert.ok(asked.length >= 2)
  for (const [path, space] of asked) assert.equal(space, 'loopback', path)
})

for (const [host, space] of [
  ['127.1.2.3', 'loopback'],
  ['[::1]', 'loopback'],
  ['my.localhost', 'loopback'],
  ['10.0.0.1', 'local'],
  ['172.16.0.1', 'local'],
  ['172.31.255.1', 'local'],
  ['192.168.1.5', 'local'],
  ['169.254.1.1', 'local'],
  ['100.64.0.1', 'local'],
  ['[fd12:3456::1]', 'local'],
  ['[fe80::1]', 'local'],
  ['printer.local', 'local'],
  ['172.32.0.1', undefined],
  ['11.0.0.1', undefined],
  ['100.128.0.1', undefined],
  ['10.example.com', undefined],
  ['localhost.example.com', undefined],
  ['[2001:db8::1]', undefined],
]) {
  test(`${host} is ${space ?? 'no private address'}`, async () => {
    globalThis.fetch = async (url, init) => {
      asked.push([url, init.targetAddressSpace])
      throw new TypeError('nobody there')
    }
    await assert.rejects(
      serve(() => new Response(), { gateway: `http://${host}` }),
      {
        code: 'network',
      },
    )
    assert.deepEqual(asked, [[`http://${host}/.well-known/reversehttp`, space]])
  })
}

test('the option gives the address space of a name that does not show it', async () => {
  globalThis.fetch = async (_, init) => {
    asked.push(init.targetAddressSpace)
    throw new TypeError('nobody there')
  }
  const options = { gateway: 'http://gateway.office.example', targetAddressSpace: 'local' }
  await assert.rejects(
    serve(() => new Response(), options),
    { code: 'network' },
  )
  assert.deepEqual(asked, ['local'])
})

for (const [own, gateway] of [
  ['http://localhost:3000', 'http://127.0.0.1:1'],
  ['https://192.168.1.7', 'http://192.168.1.5'],
  ['http://127.0.0.1:3000', 'http://192.168.1.5'],
]) {
  test(`a page of ${own} needs no permission for ${gateway}`, async () => {
    page(own)
    permission.state = 'prompt'
    globalThis.fetch = async (_, init) => {
      asked.push(init.targetAddressSpace)
      throw new TypeError('nobody there')
    }
    await assert.rejects(
      serve(() => new Response(), { gateway }),
      { code: 'network' },
    )
    assert.deepEqual(asked, [undefined])
  })
}
