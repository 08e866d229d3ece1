/** What a claim is remembered by, so that a page that reloads has its label back. */
export interface Ownership {
  label: string
  token: string
}

/** The part of Web Storage that is needed. */
export type OwnershipStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

const held = new Set<string>()

/**
 * Remembers one claim, by the gateway and the label that was asked for. Claims of one page without
 * a wish for a label are told apart by their order: the second must not take the label of the first.
 * A storage that throws (full, forbidden to a sandboxed page, or none) only means that nothing is kept.
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

  /** Lets another claim of this page have the place. */
  release(): void {
    held.delete(this.#key)
  }
}

/** The storage of a page; null where there is none or where reading it is forbidden. */
export function pageStorage(): OwnershipStorage | null {
  try {
    return globalThis.sessionStorage
  } catch {
    return null
  }
}
