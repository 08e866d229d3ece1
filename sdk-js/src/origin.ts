/** The origin of a URL. The names of this machine for itself are one: a gateway here is asked by any of them. */
export const originOf = (url: string): string =>
  new URL(url).origin.replace(/127\.0\.0\.1|\[::1]/, 'localhost')
