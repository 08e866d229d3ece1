// Package claim is the core of the gateway: claims, their sessions, and the exchanges between visitors and
// sessions. It knows no wire: every protocol is a door elsewhere that turns its wire into calls of this
// package.
//
// A door for programs calls [Registry.Open] or [Registry.Enter], [Session.Open] or [Session.Feed],
// [Delivery.Answer], [Delivery.Part], [Delivery.Interim], [Delivery.Abort] and [Session.End]. A door for
// visitors calls [Claim.Begin] and then [Exchange.Do]. Callers wait on their own goroutines; the package
// starts none.
//
// # States of an exchange
//
//	receiving  the visitor still sends       → queued     Do
//	                                         → failed     Fail
//	queued     no session has it             → delivered  a poll takes it
//	                                         → failed     no poller, claim ended, draining
//	delivered  written to a poll             → running    a cursor, a poll without one, an interim response,
//	                                                      or its content is asked for
//	                                         → delivered  a poll whose cursor is before it (attempt + 1)
//	                                         → queued     Session.End with a cursor before it
//	running    the session has it            → done       an answer (from delivered too)
//	                                         → answering  an answer with More (from delivered too)
//	                                         → failed     an abort (from delivered too)
//	delivered,                               → queued     the session is lost, or hung up, and it may be delivered again
//	running                                  → failed     the session is lost and it may not
//	                                         → timed out  no answer in time
//	answering  its head was given            → done       the visitor has the last part
//	                                         → failed     an abort, the session is lost
//	                                         → timed out  no part in time; of an upgrade there is none
//	delivered, running, answering            → failed     Reject: the content that the session fetches ends badly
//	all above                                → abandoned  the visitor left
//
// The last four (done, failed, timed out, abandoned) are ends. An exchange
// reaches exactly one of them, once, and is counted there.
//
// # Locks
//
// One mutex a claim guards the claim, its sessions and its exchanges. The
// registry is two concurrent maps and counters; its own mutex is held only to
// make and to end claims. Nothing is sent, called out or logged under these, and
// [Records] are not asked: a claim whose record is asked for is kept from others by
// its turn, which nothing but another change of that claim waits for.
//
// What happens to an exchange is noted for its claim's [Tap] under that mutex, so that it has an
// order, and shown by the goroutine that unlocks it.
package claim
