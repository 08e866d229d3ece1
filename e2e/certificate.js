// A self-signed certificate for localhost.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Makes the certificate. Returns the flags of a gateway that uses it, and a function that removes its files. */
export function selfSigned() {
  const dir = mkdtempSync(join(tmpdir(), 'reversehttp-tls-'))
  const goroot = execFileSync('go', ['env', 'GOROOT']).toString().trim()
  const make = join(goroot, 'src/crypto/tls/generate_cert.go')
  execFileSync('go', ['run', make, '--host', 'localhost', '--ecdsa-curve', 'P256'], { cwd: dir })
  const flags = ['--tls-cert', join(dir, 'cert.pem'), '--tls-key', join(dir, 'key.pem')]
  return { flags, remove: () => rmSync(dir, { recursive: true, force: true }) }
}
