package main

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"time"
)

// mostTabs is the number of tabs of one browser that are compared with a single tab.
const mostTabs = 10

// tabs compares many tabs of a browser, each with a claim over HTTP/1.1, with a single tab. Tabs of one browser share
// six connections to the gateway.
func (s *suite) tabs(ctx context.Context) error {
	var ways []way
	jobs := []job{{webhooks(s.o), func() []way { return ways }}}
	return s.measures(ctx, "tabs of one browser", jobs, false, func(t *testbed) error {
		chromium, err := find(pageWay)
		if err != nil {
			return s.lacks("tabs", err)
		}
		for _, n := range []int{1, mostTabs} {
			urls, err := t.openTabs(ctx, chromium, n)
			if err != nil {
				return err
			}
			name := tabWay
			if n > 1 {
				name = tabsWay
			}
			w, err := t.way(name, urls[0])
			if err != nil {
				return err
			}
			for _, one := range urls {
				at, err := url.Parse(one)
				if err != nil {
					return err
				}
				w.hosts = append(w.hosts, at.Host)
			}
			ways = append(ways, w)
		}
		return nil
	})
}

const webhooksWork = "tabs: a webhook to each"

// webhooks returns a work that sends webhooks to all tabs in turn.
func webhooks(o *options) work {
	event := bytes.Repeat([]byte(`{"event":"push"}`), 64)
	l := echo("", 1, "application/json", event)
	return work{name: webhooksWork, unit: "requests/s", measure: func(_ context.Context, w way) (f figures, err error) {
		v, err := dial(w.address, 2*time.Minute)
		if err != nil {
			return f, err
		}
		defer v.close()
		var took []time.Duration
		begun := time.Now()
		for more := within(o.each); len(took) == 0 || more(); {
			for i := range mostTabs {
				r := requestOf(l.method, l.target, w.hosts[i%len(w.hosts)], l.fields, l.content)
				sent := time.Now()
				if err := v.visit(r, l.want); err != nil {
					return f, err
				}
				took = append(took, time.Since(sent))
			}
		}
		rate := float64(len(took)) / time.Since(begun).Seconds()
		slices.Sort(took)
		return figures{Rate: rate, P50Ms: percentile(took, 50), P99Ms: percentile(took, 99)}, nil
	}}
}
