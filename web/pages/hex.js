/** A hex view of bytes: each row has an offset, 16 bytes in hex, and the same bytes as ASCII. */

const width = 16
// A page shows the visible rows. A request for all rows of large content returns a part.
const mostRows = 4_096

/**
 * Returns the rows of bytes `from` up to `to`. The first begins at a multiple of 16. Offsets out of
 * range are clamped.
 * @param {Uint8Array} bytes
 * @param {number} [from]
 * @param {number} [to]
 * @returns {{ offset: string, hex: string, text: string }[]} each as wide as the other rows, but
 *   for the text of the last
 */
export function hexRows(bytes, from = 0, to = bytes.length) {
  const first = Math.floor(within(from, bytes) / width) * width
  const end = Math.min(within(to, bytes), first + mostRows * width)
  const digits = Math.max(6, (bytes.length - 1).toString(16).length)
  const rows = []
  for (let at = first; at < end; at += width) {
    const row = [...bytes.subarray(at, Math.min(at + width, end))]
    rows.push({
      offset: at.toString(16).padStart(digits, '0'),
      hex: hexOf(row, ' ').padEnd(width * 3 - 1),
      text: row.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '.')).join(''),
    })
  }
  return rows
}

/**
 * Returns bytes in hex.
 * @param {Iterable<number>} bytes
 * @param {string} [between]
 */
export function hexOf(bytes, between = '') {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(between)
}

/**
 * @param {number} offset
 * @param {Uint8Array} bytes
 */
function within(offset, bytes) {
  return Math.max(0, Math.min(Math.trunc(offset) || 0, bytes.length))
}
