// Command bench compares the gateway with httputil.ReverseProxy in front of the same handler, interleaved in one run.
//
//	go run ./e2e/bench
//
// README.md beside this file explains the figures. The program starts itself again as the handler, the proxy and
// programs to be killed, because each process has a CPU clock of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if role(os.Args[1:]) {
		return
	}
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// role runs the role of a process that the bench started, and reports whether this process has one.
func role(args []string) bool {
	if len(args) == 0 {
		return false
	}
	var err error
	switch args[0] {
	case roleHandler:
		err = serveHandler(args[1:])
	case roleProxy:
		err = serveProxy(args[1:])
	case roleSession:
		err = serveSession(args[1:])
	default:
		return false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", args[0]+":", err)
		os.Exit(1)
	}
	return true
}
