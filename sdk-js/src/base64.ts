// Part of the language since 2025; TypeScript's ES2022 does not know it.
interface NativeBase64 {
  toBase64?(): string
}

// As many arguments as every engine takes in one call.
const chunk = 0x8000

/** Base64 (RFC 4648, 4) of bytes. */
export function toBase64(bytes: Uint8Array): string {
  const native = (bytes as NativeBase64).toBase64?.()
  if (native) return native
  let binary = ''
  for (let i = 0; i < bytes.length; i += chunk) {
    // Not spread: that takes four times as long.
    binary += String.fromCharCode.apply(null, bytes.subarray(i, i + chunk) as unknown as number[])
  }
  return btoa(binary)
}

/** The bytes of base64. Not native: what comes inline is small. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}
