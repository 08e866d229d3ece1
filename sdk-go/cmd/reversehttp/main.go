// Command reversehttp puts something of this machine on a public URL of a gateway, without opening a port.
//
//	reversehttp forward 3000    a local server
//	reversehttp serve DIR       the files of a directory
//	reversehttp echo            answers with a description of each request
//	reversehttp inbox           prints requests
//	reversehttp callback        waits for the redirect of an OAuth server
//	reversehttp inspect         prints requests recorded by the gateway
//	reversehttp replay ID       delivers a recorded request to the handler again
//	reversehttp mcp             lets an agent do all that
//	reversehttp gateway         a gateway, with its console and demos
//	reversehttp conformance URL judges a gateway, or a client
//
// README.md beside this file has the rest; --help lists the flags.
package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"reversehttp/schema/conformance/kit"
	"reversehttp/server/process"
)

// collectAt is the GOGC percentage. A relay has a small live heap, so with the default the garbage
// collector would run every few milliseconds.
const collectAt = 400

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case gatewayName:
			os.Exit(process.Main("reversehttp "+gatewayName, os.Args[2:]))
		case conformanceName:
			os.Exit(kit.Main("reversehttp "+conformanceName, os.Args[2:]))
		}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signal.Notify(signals, syscall.SIGHUP)
	}
	signal.Ignore(syscall.SIGPIPE) // run ends gently when nobody reads the output
	os.Exit(run(os.Args[1:], signals, os.Stdout, os.Stderr))
}
