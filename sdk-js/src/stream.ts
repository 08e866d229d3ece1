/*
 * The module for streams and large content, loaded while the first claim is made. Where it cannot be loaded,
 * polls ask for batches, and content is sent in parts of JSON.
 */
export { byLink } from './by-link.js'
export { flowing } from './flow.js'
export { frame, misread } from './framed.js'
export { knownContent } from './known.js'
export { listen } from './listen.js'
export { vet } from './vet.js'
