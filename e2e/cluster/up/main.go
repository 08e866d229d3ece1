// Command up starts three gateways that are one, their NATS server and a balancer without affinity,
// for trying: go run ./e2e/cluster/up. It prints the URL and what the gateways log, and ends everything
// with itself.
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
	eachRequest := flag.Bool("each-request", false, "give each request of a connection to another gateway")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cluster.Options{Listen: *listen, Count: *count, Stderr: os.Stderr, EachRequest: *eachRequest, Flags: flag.Args()}); err != nil {
		fmt.Fprintln(os.Stderr, "up:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, o cluster.Options) error {
	var err error
	if o.Dir, err = os.MkdirTemp("", "reversehttp-cluster-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(o.Dir) }()
	fmt.Println("Building the gateway and a NATS server, which takes a minute the first time.")
	c, err := cluster.Start(ctx, o)
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
