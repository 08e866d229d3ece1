// The objects of server/deploy/kubernetes.yaml and kubernetes-cluster.yaml: they are valid and name each other, and the
// gateway accepts their arguments and probes.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
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
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import * as certManager from '@kubernetes-models/cert-manager/cert-manager.io/v1'
import * as gatewayAPI from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1'
import * as apps from 'kubernetes-models/apps/v1'
import * as networking from 'kubernetes-models/networking.k8s.io/v1'
import * as policy from 'kubernetes-models/policy/v1'
import * as core from 'kubernetes-models/v1'
import { parseAllDocuments } from 'yaml'
import { commandBinary, freePort } from './gateway.js'
import { noNATS, startNATS } from './nats.js'
import { root } from './steps/run.js'
import { until } from './until.js'

const kinds = {
  v1: core,
  'apps/v1': apps,
  'policy/v1': policy,
  'networking.k8s.io/v1': networking,
  'cert-manager.io/v1': certManager,
  'gateway.networking.k8s.io/v1': gatewayAPI,
}

/** The objects in a file of server/deploy. */
async function read(file) {
  const source = await readFile(join(root, 'server/deploy', file), 'utf8')
  const documents = parseAllDocuments(source, { strict: true, uniqueKeys: true })
  return { documents, objects: documents.map((document) => document.toJS()) }
}

/** Finds the only object of a kind and a name in a file. */
const finder = (file) => (kind, name) => {
  const found = file.objects.filter((o) => o.kind === kind && o.metadata.name === name)
  assert.equal(found.length, 1, `${kind} ${name}`)
  return found[0]
}

const single = await read('kubernetes.yaml')
const several = await read('kubernetes-cluster.yaml')
const documents = [...single.documents, ...several.documents]
const objects = [...single.objects, ...several.objects]
const object = finder(single)
const objectOfSeveral = finder(several)

/** Returns the value of a flag of the gateway. */
const flag = (args, name) => args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1]

test('each object matches the schema of its kind', () => {
  for (const document of documents) assert.deepEqual([...document.errors, ...document.warnings], [])
  for (const o of objects) {
    const Kind = kinds[o.apiVersion]?.[o.kind]
    assert.ok(Kind, `${o.apiVersion} ${o.kind}`)
    assert.doesNotThrow(() => new Kind(o).validate(), `${o.kind} ${o.metadata.name}`)
    if (o.kind !== 'Namespace') assert.equal(o.metadata.namespace, 'reversehttp', o.kind)
  }
})

// Schemas of Kubernetes permit unknown members, so the types of the same packages check the names.
test('no member is misspelt', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-kinds-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  await symlink(join(root, 'node_modules'), join(dir, 'node_modules'))
  const packages = {
    v1: 'kubernetes-models/v1',
    'apps/v1': 'kubernetes-models/apps/v1',
    'policy/v1': 'kubernetes-models/policy/v1',
    'networking.k8s.io/v1': 'kubernetes-models/networking.k8s.io/v1',
    'cert-manager.io/v1': '@kubernetes-models/cert-manager/cert-manager.io/v1',
    'gateway.networking.k8s.io/v1': '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1',
  }
  const check = async (all) => {
    const source = all.map((o, i) => {
      const type = `import('${packages[o.apiVersion]}').I${o.kind}`
      return `export const ${o.kind}_${i}: ${type} = ${JSON.stringify(o)}`
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
  const command = commandBinary()
  await chmod(dirname(command), 0o755)
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-pod-'))
  t.after(() => rm(dir, { recursive: true, force: true }))

  // Volumes as the kubelet mounts them: owned by root, and writable by the group of the pod.
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

  // The paths of the pod are below the folder of the test, and its port is a free one.
  const ports = { http: await freePort(), admin: await freePort() }
  assert.equal(flag(container.args, 'listen'), `:${container.ports[0].containerPort}`)
  const args = container.args.map((arg) =>
    arg
      .replace(`:${container.ports[0].containerPort}`, `127.0.0.1:${ports.http}`)
      .replace(/=(\/(data|etc)\/)/, `=${dir}$1`),
  )
  const env = { REVERSEHTTP_ADMIN_LISTEN: `127.0.0.1:${ports.admin}` } // the image sets another
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
  const others = warnings.filter((line) => !line.includes('Public Suffix List')) // example.com is not on the list
  assert.deepEqual(others, [])
})

test('the objects of several gateways name each other', () => {
  const { spec } = objectOfSeveral('Deployment', 'gateway')
  const pod = spec.template.spec
  const [container] = pod.containers
  const nats = objectOfSeveral('StatefulSet', 'nats').spec
  for (const [name, workload] of [
    ['gateway', spec],
    ['nats', nats],
  ]) {
    const { labels } = workload.template.metadata
    assert.equal(workload.replicas, 3)
    assert.deepEqual(workload.selector.matchLabels, labels)
    assert.deepEqual(objectOfSeveral('Service', name).spec.selector, labels)
    assert.deepEqual(objectOfSeveral('NetworkPolicy', name).spec.podSelector.matchLabels, labels)
    const budget = objectOfSeveral('PodDisruptionBudget', name).spec
    assert.deepEqual(budget.selector.matchLabels, labels)
    const [spread] = workload.template.spec.topologySpreadConstraints
    assert.deepEqual(spread.labelSelector.matchLabels, labels)
  }
  const service = objectOfSeveral('Service', 'gateway').spec
  assert.equal(service.sessionAffinity, 'None')
  assert.equal(service.ports[0].targetPort, container.ports[0].name)
  assert.notEqual(service.publishNotReadyAddresses, true, 'a pod that ends gets no new visitors')

  const volumes = pod.volumes.map((volume) => volume.name)
  for (const mount of container.volumeMounts) assert.ok(volumes.includes(mount.name), mount.name)
  const ca = objectOfSeveral('Certificate', 'peer-ca').spec
  objectOfSeveral(ca.issuerRef.kind, ca.issuerRef.name)
  const peer = objectOfSeveral('Certificate', 'peer').spec
  const issuer = objectOfSeveral(peer.issuerRef.kind, peer.issuerRef.name).spec
  assert.equal(issuer.ca.secretName, ca.secretName)
  assert.equal(pod.volumes.find((v) => v.name === 'peer').secret.secretName, peer.secretName)

  const servers = flag(container.args, 'cluster').split(',')
  const names = [...Array(nats.replicas).keys()].map((n) => `nats-${n}.${nats.serviceName}`)
  assert.deepEqual(
    servers,
    names.map((name) => `nats://${name}:4222`),
  )
  assert.equal(flag(container.args, 'cluster-replicas'), String(nats.replicas))
  const config = objectOfSeveral('ConfigMap', 'nats').data['nats.conf']
  for (const name of names) assert.ok(config.includes(`nats://${name}:6222`), name)

  const seconds = (name) => Number(flag(container.args, name).match(/^(\d+)s$/)[1])
  const most = seconds('drain') + seconds('drain-delay') + 2
  assert.ok(pod.terminationGracePeriodSeconds > most, 'a pod has the time to drain')

  // The objects that the public reaches are the same in both files.
  for (const [kind, name] of [
    ['Namespace', 'reversehttp'],
    ['Issuer', 'letsencrypt'],
    ['Certificate', 'gateway'],
    ['Gateway', 'public'],
    ['HTTPRoute', 'gateway'],
    ['HTTPRoute', 'redirect'],
  ])
    assert.deepEqual(objectOfSeveral(kind, name), object(kind, name))
  const policies = [object, objectOfSeveral].map((find) => find('NetworkPolicy', 'gateway').spec)
  assert.deepEqual(policies[1].ingress[0], policies[0].ingress[0])
})

// Each pod has its own loopback address, so that all can use the ports of the file.
const noAddresses = process.platform !== 'linux' && 'only Linux has 127.0.0.0/8 without more'

test('three pods run as one: NATS, certificates, probes', { skip: noAddresses }, async (t) => {
  const skip = noNATS()
  if (skip) return t.skip(skip)
  const dir = await mkdtemp(join(tmpdir(), 'reversehttp-pods-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const net = `127.${1 + (process.pid % 250)}.${1 + Math.trunc(Math.random() * 250)}`

  const nats = objectOfSeveral('StatefulSet', 'nats').spec
  const [server] = nats.template.spec.containers
  const natsAt = (n) => `${net}.${100 + n}`
  const resolved = (text) => text.replace(/\bnats-(\d)\.nats\b/g, (_, n) => natsAt(Number(n)))
  const config = resolved(objectOfSeveral('ConfigMap', 'nats').data['nats.conf'])
  const answers = async (url) => (await fetch(url).catch(() => undefined))?.status
  const servers = []
  for (let n = 0; n < nats.replicas; n++) {
    const file = join(dir, `nats-${n}.conf`)
    const own = config
      .replace('/data', join(dir, `data-${n}`))
      .replace('http: ', `http: ${natsAt(n)}:`)
      .replace('port: 6222', `listen: ${natsAt(n)}:6222`)
    await writeFile(file, own)
    const args = server.args.map((arg) => arg.replace('/etc/nats/nats.conf', file))
    const env = { POD_NAME: `nats-${n}` }
    servers.push(startNATS(t, [...args, `--addr=${natsAt(n)}`], env))
  }
  const portOf = (container, name) =>
    container.ports.find((port) => port.name === name).containerPort
  for (const [n, { child, log }] of servers.entries()) {
    for (const { httpGet } of [server.readinessProbe, server.livenessProbe]) {
      const url = `http://${natsAt(n)}:${portOf(server, httpGet.port)}${httpGet.path}`
      await until(async () => {
        assert.equal(child.exitCode, null, log())
        return (await answers(url)) === 200
      }, `NATS server ${n} is ready`)
    }
  }

  // A CA and a certificate like those of cert-manager.
  const pod = objectOfSeveral('Deployment', 'gateway').spec.template.spec
  await mkdir(join(dir, 'peer'))
  const openssl = (args) => execFileSync('openssl', args.split(' '), { cwd: dir, stdio: 'ignore' })
  const make =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -addext basicConstraints=critical,CA:'
  openssl(`${make}TRUE -subj /CN=ca -keyout ca.key -out peer/ca.crt`)
  const { commonName, usages } = objectOfSeveral('Certificate', 'peer').spec
  assert.deepEqual(usages, ['digital signature', 'server auth', 'client auth'])
  openssl(
    `${make}FALSE -CA peer/ca.crt -CAkey ca.key -subj /CN=${commonName} -addext keyUsage=digitalSignature -addext extendedKeyUsage=serverAuth,clientAuth -keyout peer/tls.key -out peer/tls.crt`,
  )
  await mkdir(join(dir, 'etc'))
  await writeFile(join(dir, 'etc/accounts.json'), '{"accounts": [], "strangers": true}')
  const command = commandBinary()
  const [container] = pod.containers

  /** Starts a pod as the kubelet does, with its variables. */
  async function start(n) {
    const values = { 'metadata.name': `gateway-${n}`, 'status.podIP': `${net}.${n}` }
    const variables = Object.fromEntries(
      container.env.map(({ name, valueFrom }) => [name, values[valueFrom.fieldRef.fieldPath]]),
    )
    const expanded = (arg) =>
      arg
        .replace(/\$\((\w+)\)/g, (_, name) => variables[name])
        .replace(/=\/peer\//, `=${dir}/peer/`)
        .replace(/=\/etc\/reversehttp\//, `=${dir}/etc/`)
    const args = container.args.map((arg) =>
      resolved(expanded(arg)).replace('--listen=:', `--listen=${net}.${n}:`),
    )
    const env = { REVERSEHTTP_DATA: '/data', REVERSEHTTP_ADMIN_LISTEN: `${net}.${n}:9090` } // as in the image
    const child = spawn(command, args, { env, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] })
    let log = ''
    child.stderr.on('data', (chunk) => (log += chunk))
    const ended = once(child, 'close')
    t.after(() => child.kill('SIGKILL'))
    const port = portOf(container, 'http')
    const at = `http://${net}.${n}:${port}`
    const probe = ({ httpGet }) => answers(at + httpGet.path)
    await until(async () => {
      assert.equal(child.exitCode, null, log)
      return (await probe(container.readinessProbe)) === 204
    }, `pod ${n} is ready`)
    assert.equal(await probe(container.livenessProbe), 204)
    return { address: `${net}.${n}`, port, child, ended, log: () => log }
  }

  /** Sends a request for a host to a pod, and returns its status and content. */
  async function send({ address, port }, method, path, body) {
    const options = { host: address, port, method, path, agent: false }
    const headers = { host: 'example.com', 'content-type': 'application/json' }
    const call = request({ ...options, headers }).end(body)
    const [answer] = await once(call, 'response')
    return { status: answer.statusCode, content: JSON.parse((await text(answer)) || 'null') }
  }

  const pods = []
  for (let n = 1; n <= 3; n++) pods.push(await start(n))
  const claimed = await send(pods[0], 'POST', '/claims', '{"label": "demo-cluster"}')
  assert.equal(claimed.status, 201, JSON.stringify(claimed.content))
  const again = JSON.stringify({ label: 'demo-cluster', token: claimed.content.token })
  for (const at of pods) {
    const status = (await send(at, 'POST', '/claims', again)).status
    assert.equal(status, 200, `${at.address} carries to the home\n${at.log()}`)
  }

  // The home of the claim ends, and another pod takes the claim over.
  pods[0].child.kill('SIGTERM')
  assert.deepEqual(await pods[0].ended, [0, null], pods[0].log())
  assert.match(pods[0].log(), /"msg":"claims handed over","claims":1,"left":0/)
  for (const at of pods.slice(1))
    assert.equal((await send(at, 'POST', '/claims', again)).status, 200)
})
