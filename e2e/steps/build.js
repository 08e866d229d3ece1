// How Go builds: programs that tests start as a release is built, and what is checked and tested for the race detector. So
// each package is compiled twice at most, whichever checks, tests and builds use it.
const own = process.env.GOFLAGS ?? ''

/** The environment of builds as a release has them: no cgo, no paths. */
export const released = { CGO_ENABLED: '0', GOFLAGS: `${own} -trimpath`.trim() }

/** The environment of checks and tests. The race detector has a program sleep for a second before it ends, unless told not to. */
export const raced = {
  CGO_ENABLED: '1',
  GOFLAGS: `${own} -race`.trim(),
  GORACE: `atexit_sleep_ms=0 ${process.env.GORACE ?? ''}`.trim(),
}

/** The flag by which a test for the race detector builds other programs as a release has them. */
export const testsBuildReleased = `-exec=env CGO_ENABLED=${released.CGO_ENABLED} 'GOFLAGS=${released.GOFLAGS}'`
