/*
 * The module of what streams and what is much, loaded while the first claim is made. Where it does not
 * come, polls are for batches, and content goes in parts of JSON.
 */
export { byLink } from './by-link.js'
export { flowing } from './flow.js'
export { frame, misread } from './framed.js'
export { knownContent } from './known.js'
export { listen } from './listen.js'
export { vet } from './vet.js'
