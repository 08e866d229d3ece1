// Claims at the gateway that is named, and prints the public URL. Ends with its standard input.
import { handle } from './handler.js'
import { serve } from './sdk.js'

const claim = await serve(handle, { gateway: process.argv[2] })
console.log(claim.url)
process.stdin.on('close', () => process.exit()).resume()
