/* The module for what only pages and Workers have, loaded there while the first claim is made. */
export { followPage } from './life.js'
export { reach } from './local-network.js'
