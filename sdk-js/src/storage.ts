/** Remembers a claim, so that a page gets its label back after a reload. */
export interface Ownership {
  label: string
  token: string
}

/** The part of Web Storage that the SDK needs. */
export type OwnershipStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

const held = new Set<string>()

/**
 * Remembers one claim, by the gateway and the requested label. Claims of one page without a requested
 * label are distinguished by their order, so that the second does not take the label of the first. If
 * the storage throws (full, forbidden to a sandboxed page, or missing), nothing is remembered.
 */
export class Memory {
  readonly #storage: OwnershipStorage | null
  readonly #key: string

  constructor(storage: OwnershipStorage | null, gateway: string | URL, label = '') {
    this.#storage = storage
    const first = `reversehttp ${new URL(gateway).origin}/ ${label}`
    let key = first
    for (let n = 2; !label && held.has(key); n++) key = first + n
    this.#key = key
    held.add(key)
  }

  recall(): Partial<Ownership> {
    try {
      return JSON.parse(this.#storage!.getItem(this.#key)!) ?? {}
    } catch {
      return {}
    }
  }

  keep({ label, token }: Ownership): void {
    try {
      this.#storage!.setItem(this.#key, JSON.stringify({ label, token }))
    } catch {}
  }

  forget(): void {
    try {
      this.#storage!.removeItem(this.#key)
    } catch {}
  }

  /** Frees the place for another claim of this page. */
  release(): void {
    held.delete(this.#key)
  }
}

/** Returns the storage of a page, or null if there is none or reading it is forbidden. */
export function pageStorage(): OwnershipStorage | null {
  try {
    return globalThis.sessionStorage
  } catch {
    return null
  }
}
