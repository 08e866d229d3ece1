package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
)

// comparison is one case: the median of each way.
type comparison struct {
	Case        string    `json:"case"`
	Concurrency int       `json:"concurrency"`
	Proxy       figures   `json:"proxy"`
	Gateway     []through `json:"gateway"`
}

// through is the way through the gateway by one transport of the handler, with the
// median of the ratios of the rounds, gateway to proxy.
type through struct {
	Transport string  `json:"transport"`
	Figures   figures `json:"figures"`
	Ratio     figures `json:"ratio"`
}

// by gives the way by a transport.
func (c comparison) by(transport string) through {
	for _, t := range c.Gateway {
		if t.Transport == transport {
			return t
		}
	}
	return through{}
}

// measureTraffic runs every case in every round, one way right after the other.
// Which is first changes from round to round.
func measureTraffic(ctx context.Context, o *options, server string, log io.Writer) ([]comparison, error) {
	gateway, control, err := startGateway(ctx, server)
	if err != nil {
		return nil, err
	}
	defer gateway.stop()
	handler, err := again(ctx, roleHandler, "http://"+control)
	if err != nil {
		return nil, err
	}
	defer handler.stop()
	if len(handler.said) != 1+len(transports) {
		return nil, fmt.Errorf("the handler said %q", handler.said)
	}
	proxy, err := again(ctx, roleProxy, handler.said[0])
	if err != nil {
		return nil, err
	}
	defer proxy.stop()
	ways := []way{{name: "proxy", address: proxy.said[0], host: proxy.said[0], middle: proxy, handler: handler}}
	for i, transport := range transports {
		at, err := url.Parse(handler.said[1+i])
		if err != nil {
			return nil, err
		}
		ways = append(ways, way{name: string(transport), address: control, host: at.Host, middle: gateway, handler: handler})
	}

	cases := loads()
	seen := make([][][]figures, len(cases)) // by case, way and round
	for round := range o.rounds {
		_, _ = fmt.Fprintf(log, "round %d of %d: traffic\n", round+1, o.rounds)
		for i, l := range cases {
			if round == 0 {
				seen[i] = make([][]figures, len(ways))
			}
			for turn := range ways {
				w := (round + turn) % len(ways)
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				f, err := l.run(ways[w], max(int(float64(o.requests)*l.share), 1))
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", l.title(), ways[w].name, err)
				}
				seen[i][w] = append(seen[i][w], f)
			}
		}
	}
	out := make([]comparison, len(cases))
	for i, l := range cases {
		out[i] = comparison{Case: l.name, Concurrency: l.concurrency, Proxy: medianFigures(seen[i][0])}
		for w := 1; w < len(ways); w++ {
			out[i].Gateway = append(out[i].Gateway, through{ways[w].name, medianFigures(seen[i][w]), ratioOf(seen[i][w], seen[i][0])})
		}
	}
	return out, nil
}

func medianFigures(rounds []figures) figures {
	of := func(member func(figures) float64) float64 { return medianOf(rounds, member) }
	return figures{
		of(func(f figures) float64 { return f.RequestsPerSecond }), of(func(f figures) float64 { return f.P50Ms }),
		of(func(f figures) float64 { return f.P99Ms }), of(func(f figures) float64 { return f.MiddleCPU }),
		of(func(f figures) float64 { return f.PathCPU }),
	}
}

// ratioOf gives the median of the ratios of a and b, round by round.
func ratioOf(a, b []figures) figures {
	ratios := make([]figures, len(a))
	for i := range a {
		ratios[i] = figures{
			ratio(a[i].RequestsPerSecond, b[i].RequestsPerSecond), ratio(a[i].P50Ms, b[i].P50Ms), ratio(a[i].P99Ms, b[i].P99Ms),
			ratio(a[i].MiddleCPU, b[i].MiddleCPU), ratio(a[i].PathCPU, b[i].PathCPU),
		}
	}
	return medianFigures(ratios)
}

// ratio is 0 where b is: too little was done for the clock to show it.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
