/** The origin of a URL. All names of this machine for itself count as one: a local gateway can be reached by any. */
export const originOf = (url: string): string =>
  new URL(url).origin.replace(/127\.0\.0\.1|\[::1]/, 'localhost')
