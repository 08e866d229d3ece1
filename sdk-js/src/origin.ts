/**
 * Returns the origin of a URL. All names of the local machine count as one, since a local gateway can be
 * reached by any of them.
 */
export const originOf = (url: string): string =>
  new URL(url).origin.replace(/127\.0\.0\.1|\[::1]/, 'localhost')
