// Command up starts three gateways that are one, their NATS server and a balancer without affinity,
// for trying: go run ./e2e/cluster/up. It prints the URL, and ends everything with itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"reversehttp/e2e/cluster"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address of the balancer")
	count := flag.Int("nodes", 3, "number of gateways")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *count, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "up:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, listen string, count int, flags []string) error {
	dir, err := os.MkdirTemp("", "reversehttp-cluster-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Println("Building the gateway and a NATS server, which takes a minute the first time.")
	c, err := cluster.Start(ctx, cluster.Options{Dir: dir, Count: count, Listen: listen, Flags: flags})
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println("ReverseHttp console:", c.URL()+"/")
	fmt.Println("NATS:", c.NATS.URL())
	for _, n := range c.All {
		fmt.Println(n.Name+":", "http://"+n.Address+"/metrics")
	}
	<-ctx.Done()
	return nil
}
