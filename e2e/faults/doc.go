// Package faults shows that nothing is lost and nothing is mixed up while
// connections break. It has tests only.
//
//	go test ./e2e/faults                      3,000 exchanges; prints figures with -v
//	go test ./e2e/faults -v -seed 7           the faults of an earlier run
//	go test ./e2e/faults -v -exchanges 50000
//	go test ./e2e/faults -v -time 30m -timeout 0
//	go test ./e2e/faults -v -cluster          three gateways that are one, each connection to another
//	go test ./e2e/faults -v -transport link   instead of one program each by link, framed and stream
//
// The gateway is the real binary in a process of its own; GATEWAY_BINARY names one that is already built,
// such as one with -race. Programs are this test's binary in separate processes, each with sdk-go and one
// session of the same claim. Between every program and the gateway, and between the visitors and the gateway,
// a proxy cuts, truncates, half-closes, stalls, delays and throttles connections at byte offsets that depend
// on a seed. Programs with running exchanges are killed meanwhile.
//
// Every exchange has a key, a number of its own, and unique content. Before they answer, programs print on
// standard output which key they begin, and which content they read; a pipe keeps that when they are killed.
// The ledger compares it with what visitors got.
//
// A seed determines the exchanges and the faults of each connection; which exchange meets which fault depends
// on the scheduler.
package faults
