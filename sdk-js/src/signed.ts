/*
 * Verifies who sent a webhook: how each preset signs (section 14 of the protocol), with Web Crypto, which
 * also compares with secrets in constant time.
 */
import { fromBase64 } from './base64.js'
import type { Field } from './envelope.js'

/** How a sender signs. `standard` is that of https://www.standardwebhooks.com and of MCP Events. */
export type Preset =
  'standard' | 'github' | 'stripe' | 'slack' | 'discord' | 'websub' | 'cloudevents'

/** An id that recognises repeats of a webhook, or why it is not verified. */
export type Verdict =
  | {
      /** The same for every delivery of one webhook. */
      id: string
      /** Absent. */
      why?: never
    }
  | {
      /** Absent. */
      id?: never
      /** Why the request is not verified, for people. */
      why: string
    }

/** Verifies a request by its fields and the exact bytes of its content, at a time in milliseconds. */
export type Verify = (
  fields: readonly Field[],
  content: Uint8Array<ArrayBuffer>,
  nowMs: number,
) => Promise<Verdict>

type Bytes = Uint8Array<ArrayBuffer>

/** What a request claims in the form of one preset. */
interface Shown {
  signatures: (Bytes | undefined)[]
  signed: Bytes
  id: string
}

/** The largest content that is read for a webhook, in bytes. */
export const mostContent: number = 1024 * 1024
const withinMs = 5 * 60_000
const mostSignatures = 16
const mostId = 256

/**
 * Returns a function that verifies the webhooks of a sender, for programs that also show refused ones;
 * `receive` includes it. Throws a TypeError that describes a good secret.
 */
export function verifier(preset: Preset, secret: string): Verify {
  const { subtle } = crypto
  if (!subtle) throw new TypeError('Signatures are verified on https and on localhost only')
  const making = Object.hasOwn(schemes, preset) && schemes[preset]
  if (!making) throw new TypeError(`There is no preset ${preset}`)
  if (!secret && preset !== 'websub' && preset !== 'cloudevents') {
    throw new TypeError(`${preset} needs a secret`)
  }
  return making(secret)
}

const schemes: Record<Preset, (secret: string) => Verify> = {
  standard(secret) {
    const isPublic = secret.startsWith('whpk_')
    const key = decoded(strictBase64, secret.replace(/^wh(pk|sec)_/, ''))
    const good = key && (isPublic ? key.length === 32 : key.length >= 24 && key.length <= 64)
    if (!good) {
      throw new TypeError(
        'A secret of Standard Webhooks is whsec_ and 24 to 64 bytes in base64; a public key is whpk_ and 32 bytes',
      )
    }
    const check = isPublic ? ed25519(key) : hmac(key)
    return verifying(check, (fields, content, nowMs) => {
      const id = one(fields, 'webhook-id')
      // An id with a full stop could pass for a shorter one followed by a time.
      if (!id || bytesOf(id).length > mostId || id.includes('.')) {
        return 'it needs one webhook-id, without a full stop'
      }
      const at = one(fields, 'webhook-timestamp')
      if (!timely(at, nowMs)) return untimely
      const shown = one(fields, 'webhook-signature')
      if (!shown) return 'it needs one webhook-signature'
      const version = isPublic ? 'v1a,' : 'v1,'
      const signatures = shown
        .split(/[ \t]+/, mostSignatures)
        .filter((text) => text.startsWith(version))
        .map((text) => decoded(strictBase64, text.slice(version.length)))
      return { signatures, signed: joined(`${id}.${at}.`, content), id }
    })
  },

  github(secret) {
    return verifying(hmac(bytesOf(secret)), (fields, content) => {
      const coded = prefixed(one(fields, 'x-hub-signature-256'), 'sha256=')
      if (!coded) return 'X-Hub-Signature-256 is not right'
      const id = one(fields, 'x-github-delivery')
      const named = id && bytesOf(id).length <= mostId
      return {
        signatures: [decoded(fromHex, coded)],
        signed: content,
        id: named ? id : coded.toLowerCase(),
      }
    })
  },

  stripe(secret) {
    return verifying(hmac(bytesOf(secret)), (fields, content, nowMs) => {
      const shown = one(fields, 'stripe-signature')
      if (!shown) return 'it needs one Stripe-Signature'
      const items = shown.split(',').map((item) => item.trim())
      const times = items.filter((item) => item.startsWith('t='))
      if (times.length > 1) return 'Stripe-Signature has two times'
      const at = times[0]?.slice(2)
      if (!timely(at, nowMs)) return untimely
      const coded = items.filter((item) => item.startsWith('v1=')).slice(0, mostSignatures)
      return {
        signatures: coded.map((item) => decoded(fromHex, item.slice(3))),
        signed: joined(`${at}.`, content),
        id: stringIn(content, 'id') ?? '',
      }
    })
  },

  slack(secret) {
    return verifying(hmac(bytesOf(secret)), (fields, content, nowMs) => {
      const at = one(fields, 'x-slack-request-timestamp')
      if (!timely(at, nowMs)) return untimely
      const coded = prefixed(one(fields, 'x-slack-signature'), 'v0=')
      if (!coded) return 'X-Slack-Signature is not right'
      return {
        signatures: [decoded(fromHex, coded)],
        signed: joined(`v0:${at}:`, content),
        id: stringIn(content, 'event_id') ?? coded.toLowerCase(),
      }
    })
  },

  discord(secret) {
    const key = decoded(fromHex, secret)
    if (key?.length !== 32) {
      throw new TypeError('A public key of Discord is 32 bytes, as 64 hexadecimal digits')
    }
    return verifying(ed25519(key), (fields, content, nowMs) => {
      const at = one(fields, 'x-signature-timestamp')
      if (!timely(at, nowMs)) return untimely
      const coded = one(fields, 'x-signature-ed25519') ?? ''
      return {
        signatures: [decoded(fromHex, coded)],
        signed: joined(at, content),
        id: stringIn(content, 'id') ?? coded.toLowerCase(),
      }
    })
  },

  websub(secret) {
    return async (fields, content) => {
      if (!secret) return { id: await digest(content) }
      const [, method, coded = ''] =
        /^(sha1|sha256|sha384|sha512)=(.*)$/.exec(one(fields, 'x-hub-signature') ?? '') ?? []
      if (!method) return { why: 'X-Hub-Signature has no method that WebSub knows' }
      const signature = decoded(fromHex, coded)
      const hash = method.replace('sha', 'SHA-')
      if (!signature || !(await hmac(bytesOf(secret), hash)(signature, content))) {
        return { why: 'X-Hub-Signature is not right' }
      }
      return { id: await digest(content) }
    }
  },

  cloudevents(secret) {
    return async (fields, content) => {
      if (secret) {
        const token = /^bearer (.*)$/i.exec(one(fields, 'authorization') ?? '')?.[1]
        // Compared as MACs under a random key, which have equal lengths and are compared in constant time.
        const key = crypto.getRandomValues(new Uint8Array(32))
        const mac = await hmacOf(key, bytesOf(secret))
        if (token === undefined || !(await hmac(key)(mac, bytesOf(token)))) {
          return { why: 'the bearer token is not right' }
        }
      }
      let source = one(fields, 'ce-source')
      let id = one(fields, 'ce-id')
      if (!source || !id) {
        source = stringIn(content, 'source')
        id = stringIn(content, 'id')
      }
      const named = source && id && bytesOf(source + id).length <= mostId
      return { id: named ? JSON.stringify([source, id]) : await digest(content) }
    }
  },
}

/** Verifies what a request shows: one of its signatures must be right. */
function verifying(
  check: (signature: Bytes, signed: Bytes) => Promise<boolean>,
  read: (fields: readonly Field[], content: Bytes, nowMs: number) => Shown | string,
): Verify {
  return async (fields, content, nowMs) => {
    const shown = read(fields, content, nowMs)
    if (typeof shown === 'string') return { why: shown }
    for (const signature of shown.signatures) {
      if (signature && (await check(signature, shown.signed))) {
        return { id: shown.id || hexOf(signature) }
      }
    }
    return { why: 'no signature is right' }
  }
}

/** Returns a function that checks an HMAC. */
function hmac(secret: Bytes, hash = 'SHA-256') {
  const key = importing(secret, hash, 'verify')
  return async (signature: Bytes, signed: Bytes): Promise<boolean> =>
    crypto.subtle.verify('HMAC', await key, signature, signed)
}

async function hmacOf(secret: Bytes, content: Bytes): Promise<Bytes> {
  const key = await importing(secret, 'SHA-256', 'sign')
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, content))
}

async function importing(secret: Bytes, hash: string, usage: KeyUsage): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash }, false, [usage])
}

/** Returns a function that checks an ed25519 signature. */
function ed25519(secret: Bytes) {
  // A browser without ed25519 reports that with the first webhook, and the handler does not run.
  const key = crypto.subtle.importKey('raw', secret, 'Ed25519', false, ['verify'])
  key.catch(() => {})
  return async (signature: Bytes, signed: Bytes): Promise<boolean> =>
    signature.length === 64 && crypto.subtle.verify('Ed25519', await key, signature, signed)
}

/** Returns the value of a field; undefined if it is absent, empty or repeated. */
export function one(fields: readonly Field[], name: string): string | undefined {
  const values = fields.filter(([of]) => of.toLowerCase() === name)
  return values.length === 1 ? values[0]![1] || undefined : undefined
}

const untimely = 'it was signed more than five minutes ago, or at no time at all'

/** Reports whether a time, in seconds since 1970, is close to now. */
function timely(text: string | undefined, nowMs: number): text is string {
  return /^\d{1,15}$/.test(text ?? '') && Math.abs(nowMs - Number(text) * 1000) <= withinMs
}

/** Returns the string of that name in content that is a JSON object; undefined if there is none. */
function stringIn(content: Bytes, name: string): string | undefined {
  const text = (membersIn(content) as Record<string, unknown> | undefined)?.[name]
  return typeof text === 'string' && text && bytesOf(text).length <= mostId ? text : undefined
}

/** Returns the members of content that is a JSON object; undefined if it is not one. */
export function membersIn(content: Bytes): object | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { ignoreBOM: true }).decode(content))
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

const prefixed = (text: string | undefined, prefix: string): string | undefined =>
  text?.startsWith(prefix) ? text.slice(prefix.length) : undefined

/** Field values have one character for each byte, JSON any characters: both are compared as UTF-8. */
const bytesOf = (text: string): Bytes => new TextEncoder().encode(text)

/** Returns the bytes of a text with one character for each byte, followed by content. */
function joined(text: string, content: Bytes): Bytes {
  const both = new Uint8Array(text.length + content.length)
  both.set(Uint8Array.from(text, (c) => c.charCodeAt(0)))
  both.set(content, text.length)
  return both
}

async function digest(content: Bytes): Promise<string> {
  return hexOf(new Uint8Array(await crypto.subtle.digest('SHA-256', content)))
}

function hexOf(bytes: Bytes): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Unlike Go, `fromBase64` accepts missing padding. */
function strictBase64(text: string): Bytes {
  if (text.length % 4 || /[^\w+/=-]|\s/.test(text)) throw new TypeError('not base64')
  return fromBase64(text)
}

function fromHex(text: string): Bytes {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new TypeError('not hexadecimal')
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16))
}

function decoded(decode: (text: string) => Bytes, text: string): Bytes | undefined {
  try {
    return decode(text)
  } catch {
    return undefined
  }
}
