// The bounds of the SDK. This module imports nothing, so a bundler can inline them as numbers.

/** How many handlers run at a time. */
export const defaultConcurrency = 64
/**
 * How long `close` waits for them. Shorter than the 10 s after which a gateway drops a session that does not
 * poll.
 */
export const defaultDrainMs = 5_000
/** How long to wait for the gateway's answer to begin once the whole request was sent. */
export const answerMs = 30_000
/** The longest time that sending one byte may take: the slowest rate that the gateway allows. */
export const byteMs = 1
/** How long a page waits for its claim if other tabs may hold all available connections. */
export const crowdedMs = 9_000
/** How long an answer may stall. */
export const contentMs = 60_000
/** The largest answer in bytes, and the longest line in characters: no honest gateway sends more at once. */
export const mostAnswer = 60_000_000
/** How late the answer to a poll, or a heartbeat of a stream, may be before the connection counts as dead. */
export const pollSlackMs = 10_000
export const slackMs = 5_000
/**
 * A timer later than this shows that the program was suspended; it then waits `graceMs` more, up to
 * `mostGraces` times.
 */
export const lateMs = 1_000
export const graceMs = 1_000
export const mostGraces = 3
/** How long to wait for the gateway to confirm the end of a session. */
export const goodbyeMs = 5_000
/** How long to wait for a module to load. */
export const loadMs = 2_000
/** A gateway or a proxy that ends a poll sooner than this did not wait, so the next poll is delayed. */
export const soonMs = 1_000
/** How many handlers begin in one turn of the event loop, and how many if each took less than `quickMs`. */
export const fewInTurn = 8
export const manyInTurn = 64
export const quickMs = 2.5
/** How long handlers may compute before the event loop turns. */
export const mostTurnMs = 100
/** How many finished exchanges are remembered. */
export const mostRemembered = 4096
/** A POST of answers that takes longer than this no longer delays others, up to a number of POSTs. */
export const longMs = 4_000
export const mostGroups = 3
/** The most characters of answers sent together; a larger answer is sent alone. */
export const mostTogether = 1_000_000
/** The most bytes of a piece of a stream: proxies accept 1 MiB, which must also hold its lines. */
export const pieceBytes = 983_040
/** The size of {"messages":[ and ]} in bytes. */
export const frameBytes = 15
/** The most bytes of one character in UTF-8. */
export const characterBytes = 3
/** Content that ends this soon and is this small is sent as one message. */
export const wholeMs = 20
export const wholeBytes = 262_144
