// The bounds of the SDK. In a module of their own, without an import, a bundler writes them as numbers.

/** How many handlers run at a time. */
export const defaultConcurrency = 64
/** How long `close` waits for them. Shorter than the 10 s after which a gateway gives up a session that does not poll. */
export const defaultDrainMs = 5_000
/** How long a request to the gateway waits for its answer to begin, once all of it was sent. */
export const answerMs = 30_000
/** How long each byte takes to be sent, at most; as slow as a gateway lets it be. */
export const byteMs = 1
/** How long a page waits for a claim where other tabs may hold all the connections that there are. */
export const crowdedMs = 9_000
/** How long no more of an answer may come. */
export const contentMs = 60_000
/** The bytes of an answer, and the characters of a line: no honest gateway sends more at once. */
export const mostAnswer = 60_000_000
/** How late the answer to a poll may be, and a heartbeat of a stream: only a dead connection is noticed. */
export const pollSlackMs = 10_000
export const slackMs = 5_000
/** A timer that is later than this tells that the program stood still; so often it waits so much more. */
export const lateMs = 1_000
export const graceMs = 1_000
export const mostGraces = 3
/** How long a session waits to be told that it ended. */
export const goodbyeMs = 5_000
/** A module that takes longer to load is not waited for. */
export const loadMs = 2_000
/** A gateway or a proxy that ends a poll sooner than this did not wait; do not ask in a tight loop. */
export const soonMs = 1_000
/** How many handlers begin in one turn of the event loop; and where each took so little time. */
export const fewInTurn = 8
export const manyInTurn = 64
export const quickMs = 2.5
/** How long they may compute until it turns. */
export const mostTurnMs = 100
/** How many exchanges that are over are remembered. */
export const mostRemembered = 4096
/** A POST of answers that takes longer than this holds up no others, until there are so many. */
export const longMs = 4_000
export const mostGroups = 3
/** The characters of answers that go together, at most; one that is larger goes alone. */
export const mostTogether = 1_000_000
/** The bytes of a piece of a stream, at most: proxies take 1 MiB, and it has its lines, too. */
export const pieceBytes = 983_040
/** The bytes of {"messages":[ and ]}. */
export const frameBytes = 15
/** The bytes of one character in UTF-8, at most. */
export const characterBytes = 3
/** Content that ends so soon and is so small is sent whole: one message instead of several. */
export const wholeMs = 20
export const wholeBytes = 262_144
