// npm run setup: installs what the tests need in addition to Go and Node.
import { setup } from './steps/install.js'

await setup().catch((e) => {
  console.error(e.message)
  process.exitCode = 1
})
