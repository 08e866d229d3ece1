// Package faults shows that nothing is lost and nothing is mixed up while
// connections break. It has tests only.
//
//	go test ./e2e/faults                      3,000 exchanges; prints figures with -v
//	go test ./e2e/faults -v -seed 7           the faults of an earlier run
//	go test ./e2e/faults -v -exchanges 50000
//	go test ./e2e/faults -v -time 30m -timeout 0
//	go test ./e2e/faults -v -transport link   instead of one program each by link, framed and stream
//
// The gateway is the real binary in a process of its own; GATEWAY_BINARY names
// one that is built already, such as one with -race. Programs are this test's
// binary in processes of their own, each with sdk-go and one session of the same
// claim. Between every program and the gateway, and between the visitors and
// the gateway, stands a proxy that cuts, truncates, half-closes, stalls, delays
// and throttles connections at byte offsets that a seed gives. Programs are
// killed meanwhile, with what they hold.
//
// Every exchange has a key, a number of its own, and content that nobody else
// has. Programs say on their standard output which key they begin, and what
// content they read, before they answer; a pipe keeps that when they are killed.
// The ledger holds it against what visitors got.
//
// A seed gives the same exchanges and, connection by connection, the same faults;
// which exchange meets which fault is up to the scheduler.
package faults
