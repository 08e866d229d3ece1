// Command bench measures the gateway against httputil.ReverseProxy in front of
// the same handler, in one run and interleaved.
//
//	go run ./e2e/bench
//
// README.md beside this file tells what the figures mean. The program starts
// itself again as the handler and as the proxy, so that each has a CPU clock of
// its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// role does what a process does that the bench started of itself, and reports
// whether this one is such.
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
	default:
		return false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", args[0]+":", err)
		os.Exit(1)
	}
	return true
}

// options are the flags.
type options struct {
	rounds   int
	requests int   // of each way and round, where a case does not take a share of it
	claims   []int // parked, in rising order
	json     bool
}

func parse(args []string, usage io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(usage)
	f.IntVar(&o.rounds, "rounds", 3, "rounds; every figure is the median of them")
	f.IntVar(&o.requests, "requests", 4000, "requests at concurrency 64 in a round, besides a tenth to warm up; slower cases send a half or a quarter")
	f.Func("claims", "counts of parked claims, rising (default 1000,10000)", func(s string) error {
		for one := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(one)
			if err != nil || n < 1 || len(o.claims) > 0 && n <= o.claims[len(o.claims)-1] {
				return errors.New("give numbers such as 1000,10000")
			}
			o.claims = append(o.claims, n)
		}
		return nil
	})
	f.BoolVar(&o.json, "json", false, "print JSON in place of the table")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if o.claims == nil {
		o.claims = []int{1000, 10000}
	}
	if o.rounds < 1 || o.requests < 1 {
		return nil, errors.New("--rounds and --requests are above 0")
	}
	return o, nil
}

// run measures and prints. Progress goes to the log.
func run(ctx context.Context, o *options, out, log io.Writer) error {
	r, err := measure(ctx, o, log)
	if err != nil {
		return err
	}
	if o.json {
		return r.writeJSON(out)
	}
	return r.writeTable(out)
}

func measure(ctx context.Context, o *options, log io.Writer) (*report, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	server, remove, err := buildGateway(ctx)
	if err != nil {
		return nil, err
	}
	defer remove()
	r := newReport(o)
	if r.Traffic, err = measureTraffic(ctx, o, server, log); err != nil {
		return nil, err
	}
	if r.Memory, err = measureMemory(ctx, o, server, log); err != nil {
		return nil, err
	}
	r.judge()
	r.Seconds = time.Since(begun).Seconds()
	return r, nil
}
