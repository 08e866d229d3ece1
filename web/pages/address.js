/** Addresses of visitors, as the gateway says them. */

/**
 * Returns the address alone.
 * @param {string} address with a port
 */
export function hostOf(address) {
  return address.replace(/:\d+$/, '')
}

/**
 * Returns what probably belongs to one asker: an IPv4 address, or the first half of an IPv6 address,
 * since providers assign such networks whole.
 * @param {string} address
 */
export function networkOf(address) {
  const v6 = /^\[([0-9a-f:]+)/i.exec(address)?.[1]
  if (!v6 || address.includes('.')) return address
  const [before, after] = v6.split('::')
  const groups = before ? before.split(':') : []
  if (after !== undefined) {
    const last = after ? after.split(':') : []
    while (groups.length + last.length < 8) groups.push('0')
    groups.push(...last)
  }
  return groups
    .slice(0, 4)
    .map((group) => parseInt(group, 16))
    .join(':')
}
