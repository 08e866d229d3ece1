// Package abuse shows that nobody can stop the rest: each attack is made on the
// real gateway while honest visitors of other claims, and where it says so of the
// attacked one, ask and check what they get. It has tests only.
//
//	go test ./e2e/abuse                 about three minutes
//	go test ./e2e/abuse -v              prints figures
//	go test ./e2e/abuse -v -long        attacks of full size
//	go test ./e2e/abuse -v -run 'TestHonestVisitorsAreServedBeside/idle'
//
// The gateway is the real binary in a process of its own; GATEWAY_BINARY names
// one that is built already. It is a public one: its public host is not a name of
// this machine, and it names a proxy that it trusts, so that it counts visitors
// by their address. Whoever attacks and whoever is honest connects from addresses
// of loopback of their own.
//
// After every attack these hold, whatever the machine does besides: every honest
// visitor got exactly what they asked for; /healthz answered 204 each time; the
// memory of the gateway's process stayed below what --memory allows; and the
// gateway logged neither an error nor a panic. Times are printed and not judged.
package abuse
