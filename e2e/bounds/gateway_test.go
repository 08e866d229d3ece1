package bounds

import (
	"context"
	"flag"
	"fmt"
	"net"
	"runtime"
	"time"

	"reversehttp/server/gateway"
)

// beGateway is a gateway on a free loopback port. It prints its origin. It waits for programs and visitors
// without a limit, so that a starved one is not lost.
func beGateway(args []string) error {
	var o gateway.Options
	f := flag.NewFlagSet("as-gateway", flag.ContinueOnError)
	const ages = time.Hour
	f.DurationVar(&o.Times.Acknowledge, "acknowledge", ages, "as the gateway's flag")
	f.IntVar(&o.LinkWindow, "link-window", 0, "as the gateway's flag")
	if err := f.Parse(args); err != nil {
		return err
	}
	for _, d := range []*time.Duration{
		&o.Times.Unacknowledged, &o.Times.Closed, &o.Times.NoPoller, &o.Times.Answer, &o.Times.Part, &o.Times.Lease, &o.Times.Unpolled,
		&o.FieldTime, &o.ContentGrace, &o.ContentPause,
	} {
		*d = ages
	}
	l, err := (&net.ListenConfig{Control: small}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o.PublicURL, o.Loopback = "http://{label}.localhost:"+port+"/", true
	g, err := gateway.New(o)
	if err != nil {
		return err
	}
	go func() { panic(g.Server().Serve(gateway.Listen(l))) }()
	fmt.Println("http://" + l.Addr().String())
	return obey(func(o order, _ *figures) {
		if o.Busy > 0 {
			runtime.GOMAXPROCS(1)
		}
		for range o.Busy {
			go func() {
				for n := uint64(0); ; n++ {
				}
			}()
		}
	})
}
