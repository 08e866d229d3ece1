package bounds

import (
	"context"
	"flag"
	"fmt"
	"net"
	"runtime"
	"time"

	"reversehttp/server/family"
	"reversehttp/server/gateway"
)

// beGateway is a gateway on a free port of loopback. It says its origin.
func beGateway(args []string) error {
	var o gateway.Options
	f := flag.NewFlagSet("as-gateway", flag.ContinueOnError)
	patient := f.Bool("patient", false, "wait for programs for as long as it takes")
	doors := f.Bool("doors", false, "lend tunnels and other doors")
	f.DurationVar(&o.Times.Acknowledge, "acknowledge", 10*time.Second, "as the gateway's flag")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *patient {
		const ages = time.Hour
		o.Times.Acknowledge, o.Times.Unacknowledged, o.Times.NoPoller, o.Times.Answer, o.Times.Lease, o.FieldTime = ages, ages, ages, ages, ages, ages
	}
	if *doors {
		o.Doors = family.Doors(family.Options{})
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
