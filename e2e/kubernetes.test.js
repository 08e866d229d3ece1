// The objects of server/deploy/kubernetes.yaml: valid, of one piece, and with arguments and probes that the gateway has.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import * as certManager from '@kubernetes-models/cert-manager/cert-manager.io/v1'
import * as gatewayAPI from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1'
import * as apps from 'kubernetes-models/apps/v1'
import * as networking from 'kubernetes-models/networking.k8s.io/v1'
import * as core from 'kubernetes-models/v1'
import { parseAllDocuments } from 'yaml'
import { build, freePort } from './gateway.js'
import { root } from './steps/run.js'
import { until } from './until.js'

const kinds = {
  v1: core,
  'apps/v1': apps,
  'networking.k8s.io/v1': networking,
  'cert-manager.io/v1': certManager,
  'gateway.networking.k8s.io/v1': gatewayAPI,
}

const source = await readFile(join(root, 'server/deploy/kubernetes.yaml'), 'utf8')
const documents = parseAllDocuments(source, { strict: true, uniqueKeys: true })
const objects = documents.map((document) => document.toJS())

/** The only object of a kind and a name. */
function object(kind, name) {
  const found = objects.filter((o) => o.kind === kind && o.metadata.name === name)
  assert.equal(found.length, 1, `${kind} ${name}`)
  return found[0]
}

/** The value of a flag of the gateway. */
const flag = (args, name) => args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1]

test('each object has the form of its kind', () => {
  for (const document of documents) assert.deepEqual([...document.errors, ...document.warnings], [])
  for (const o of objects) {
    const Kind = kinds[o.apiVersion]?.[o.kind]
    assert.ok(Kind, `${o.apiVersion} ${o.kind}`)
    assert.doesNotThrow(() => new Kind(o).validate(), `${o.kind} ${o.metadata.name}`)
    if (o.kind !== 'Namespace') assert.equal(o.metadata.namespace, 'reversehttp', o.kind)
  }
})

// Schemas of Kubernetes permit unknown members, which the types of the same packages do not have.
test('no member is misspelt', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-kinds-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  await symlink(join(root, 'node_modules'), join(dir, 'node_modules'))
  const packages = {
    v1: 'kubernetes-models/v1',
    'apps/v1': 'kubernetes-models/apps/v1',
    'networking.k8s.io/v1': 'kubernetes-models/networking.k8s.io/v1',
    'cert-manager.io/v1': '@kubernetes-models/cert-manager/cert-manager.io/v1',
    'gateway.networking.k8s.io/v1': '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1',
  }
  const check = async (all) => {
    const source = all.map((o) => {
      const type = `import('${packages[o.apiVersion]}').I${o.kind}`
      return `export const ${o.kind}_${o.metadata.name}: ${type} = ${JSON.stringify(o)}`
    })
    await writeFile(join(dir, 'objects.ts'), source.join('\n'))
    const args = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', 'objects.ts']
    const tsc = spawn(join(root, 'node_modules/.bin/tsc'), args, { cwd: dir })
    const said = text(tsc.stdout)
    const [code] = await once(tsc, 'close')
    return { code, said: await said }
  }
  assert.deepEqual(await check(objects), { code: 0, said: '' })

  const misspelt = structuredClone(object('StatefulSet', 'gateway'))
  misspelt.spec.template.spec.containers[0].imagee = ''
  assert.match((await check([misspelt])).said, /imagee.* does not exist in type 'IContainer'/)
})

test('the objects name each other, and the image', async () => {
  const { spec } = object('StatefulSet', 'gateway')
  const pod = spec.template.spec
  const [container] = pod.containers
  assert.equal(spec.replicas, 1)
  assert.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels)
  const volumes = [...pod.volumes, ...spec.volumeClaimTemplates.map((claim) => claim.metadata)]
  assert.deepEqual(
    container.volumeMounts.map((mount) => mount.name).sort(),
    volumes.map((volume) => volume.name).sort(),
  )
  for (const [name, path] of [
    ['data', flag(container.args, 'data')],
    ['accounts', flag(container.args, 'accounts')],
  ]) {
    const mount = container.volumeMounts.find((m) => m.name === name)
    assert.ok(path.startsWith(`${mount.mountPath}/`), `${path} is in the volume ${name}`)
  }

  const service = object('Service', spec.serviceName)
  const [port] = service.spec.ports
  assert.deepEqual(service.spec.selector, spec.template.metadata.labels)
  assert.equal(port.targetPort, container.ports[0].name)
  assert.deepEqual(
    object('NetworkPolicy', 'gateway').spec.podSelector.matchLabels,
    spec.template.metadata.labels,
  )
  const route = object('HTTPRoute', 'gateway').spec
  const [backend] = route.rules[0].backendRefs
  assert.deepEqual([backend.name, backend.port], [service.metadata.name, port.port])

  const gateway = object('Gateway', 'public')
  for (const [name, listener] of [
    ['gateway', 'https'],
    ['redirect', 'http'],
  ]) {
    const [parent] = object('HTTPRoute', name).spec.parentRefs
    assert.deepEqual([parent.name, parent.sectionName], [gateway.metadata.name, listener])
  }
  const certificate = object('Certificate', 'gateway').spec
  const https = gateway.spec.listeners.find((listener) => listener.name === 'https')
  assert.equal(https.tls.certificateRefs[0].name, certificate.secretName)
  object(certificate.issuerRef.kind, certificate.issuerRef.name)
  const domain = flag(container.args, 'public-url').match(/^https:\/\/\{label\}\.(.*)\/$/)[1]
  assert.deepEqual(certificate.dnsNames, [domain, `*.${domain}`])
  for (const name of ['gateway', 'redirect']) {
    assert.deepEqual(object('HTTPRoute', name).spec.hostnames, certificate.dnsNames)
  }

  const { runAsUser, runAsGroup, fsGroup } = pod.securityContext
  const dockerfile = await readFile(join(root, 'server/deploy/Dockerfile'), 'utf8')
  assert.equal(dockerfile.match(/^USER (.*)$/m)[1], `${runAsUser}:${runAsGroup}`)
  assert.equal(fsGroup, runAsGroup)
  const drain = Number(flag(container.args, 'drain').match(/^(\d+)s$/)[1])
  assert.ok(pod.terminationGracePeriodSeconds > drain + 2, 'a pod has the time to drain')
})

test('a pod runs: arguments, user, volumes and probes', async (t) => {
  const { template } = object('StatefulSet', 'gateway').spec
  const { securityContext, containers, volumes } = template.spec
  const [container] = containers
  const command = build('./sdk-go/cmd/reversehttp', 'reversehttp')
  await chmod(dirname(command), 0o755)
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-pod-'))
  t.after(() => rm(dir, { recursive: true, force: true }))

  // Volumes as the kubelet mounts them: of root, and open to the group of the pod.
  const asRoot = process.getuid() === 0
  const group = asRoot ? securityContext.fsGroup : process.getgid()
  const mounted = (path) => join(dir, path)
  for (const { mountPath } of container.volumeMounts) {
    await mkdir(mounted(mountPath), { recursive: true })
    await chown(mounted(mountPath), process.getuid(), group)
    await chmod(mounted(mountPath), 0o2775)
  }
  await chmod(dir, 0o755)
  const accounts = mounted(flag(container.args, 'accounts'))
  await writeFile(accounts, '{"accounts": [], "strangers": false}')
  await chown(accounts, process.getuid(), group)
  const secret = volumes.find((volume) => volume.name === 'accounts').secret
  await chmod(accounts, secret.defaultMode)

  // The paths of the pod are below the folder of the test, and the port is a free one.
  const ports = { http: await freePort(), admin: await freePort() }
  assert.equal(flag(container.args, 'listen'), `:${container.ports[0].containerPort}`)
  const args = container.args.map((arg) =>
    arg
      .replace(`:${container.ports[0].containerPort}`, `127.0.0.1:${ports.http}`)
      .replace(/=(\/(data|etc)\/)/, `=${dir}$1`),
  )
  const env = { REVERSEHTTP_ADMIN_LISTEN: `127.0.0.1:${ports.admin}` } // the image sets one, too
  const user = asRoot ? { uid: securityContext.runAsUser, gid: securityContext.runAsGroup } : {}
  const child = spawn(command, args, {
    env,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
    ...user,
  })
  let log = ''
  child.stderr.on('data', (chunk) => (log += chunk))
  const ended = once(child, 'close')
  t.after(() => child.kill('SIGKILL'))

  const probe = ({ httpGet }) =>
    fetch(`http://127.0.0.1:${ports[httpGet.port]}${httpGet.path}`).then((answer) => answer.status)
  await until(async () => {
    assert.equal(child.exitCode, null, log)
    return (await probe(container.readinessProbe).catch(() => 0)) === 204
  }, 'the pod is ready')
  assert.equal(await probe(container.livenessProbe), 204)
  const stored = await stat(join(mounted(flag(container.args, 'data')), 'claims.db'))
  assert.equal(stored.mode & 0o777, 0o600)

  const claimed = await fetch(`http://127.0.0.1:${ports.http}/claims`, { method: 'POST' })
  assert.equal((await claimed.json()).code, 'key_needed', 'the accounts are read')
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null], log)
  const warnings = log.split('\n').filter((line) => /"level":"(WARN|ERROR)"/.test(line))
  const others = warnings.filter((line) => !line.includes('Public Suffix List')) // example.com is not there
  assert.deepEqual(others, [])
})
