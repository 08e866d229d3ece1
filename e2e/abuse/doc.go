// Package abuse shows that attackers cannot stop other users: each attack is made on the real gateway while
// honest visitors of other claims, and where stated also of the attacked one, send requests and check the
// answers. It has tests only.
//
//	go test ./e2e/abuse                 about three minutes
//	go test ./e2e/abuse -v              prints figures
//	go test ./e2e/abuse -v -long        attacks of full size
//	go test ./e2e/abuse -v -run 'TestHonestVisitorsAreServedBeside/idle'
//
// The gateway is the real binary in a process of its own; GATEWAY_BINARY names one that is already built. It
// is a public one: its public host is not a name of this machine, and it trusts a proxy, so it counts
// visitors by their address. Attackers and honest visitors connect from different loopback addresses.
//
// After every attack these hold, however busy the machine is: every honest visitor got exactly what they
// asked for; /healthz always answered 204; the memory of the gateway's process stayed below what --memory
// allows; and the gateway logged neither an error nor a panic. Times are printed but not judged.
package abuse
