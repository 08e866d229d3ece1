// Command soak keeps a gateway busy for a long time with all kinds of traffic, and reports whether memory,
// goroutines and file descriptors stay flat.
//
//	go run ./e2e/soak --minutes 30
//
// It builds and starts the real gateway, two programs that serve with sdk-go, one of which is repeatedly
// killed and restarted, and one in Node that serves with the gateway's own /sdk.js. Other claims come and go.
// It exits with 1 if a figure grew, or an answer was wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == roleProgram {
		if err := beProgram(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "soak:", roleProgram+":", err)
			os.Exit(1)
		}
		return
	}
	minutes := flag.Float64("minutes", 30, "how long to run")
	visitors := flag.Int("visitors", 12, "how many visitors come at a time")
	every := flag.Duration("every", 10*time.Second, "how often to take a sample")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{time.Duration(*minutes * float64(time.Minute)), *every, *visitors}
	flat, err := run(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	if err != nil || !flat {
		os.Exit(1)
	}
}

type options struct {
	length, every time.Duration
	visitors      int
}

// run sends traffic until the time is over or ctx ends, and prints the figures and the result.
func run(ctx context.Context, o options, out io.Writer) (flat bool, err error) {
	w, err := newWorld(ctx)
	if err != nil {
		return false, err
	}
	defer w.close()
	ctx, cancel := context.WithTimeout(ctx, o.length)
	defer cancel()
	traffic := newTraffic(w, o.visitors)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		traffic.run(ctx)
	}()
	t := &table{}
	t.writeHead(out)
	begun, tick := time.Now(), time.NewTicker(o.every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			row, err := w.sample()
			if err != nil {
				cancel()
				<-ended
				return false, errors.Join(err, traffic.fault())
			}
			t.add(out, time.Since(begun), traffic.answered.Load(), row)
		case <-ctx.Done():
		}
	}
	<-ended
	traffic.write(out)
	flat = t.judge(out)
	return flat, traffic.fault()
}
