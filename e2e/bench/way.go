package main

import (
	"time"

	reversehttp "reversehttp/sdk-go"
)

// transports are the transports of sdk-go that are compared. Each has a claim of its own in the handler, and a way of
// the same name.
var transports = []reversehttp.Transport{
	reversehttp.TransportPoll,
	reversehttp.TransportStream,
	reversehttp.TransportFramed,
	reversehttp.TransportLink,
}

// The other ways.
const (
	proxyWay   = "proxy"     // through a ReverseProxy; other ways are compared with it
	proxiesWay = "2 proxies" // through two of them in a row
	forwardWay = "forward"   // through the gateway to reversehttp forward, by the transport that it chooses, and from there to the handler's port
	pageWay    = "page"      // through the gateway to sdk-js in Chromium
	nodeWay    = "node"      // through the gateway to sdk-js in Node
	tabWay     = "1 tab"     // through the gateway to sdk-js in one tab of a Chromium
	tabsWay    = "10 tabs"   // the same in each of ten tabs
)

// way is one of the ways to a handler.
type way struct {
	name    string
	address string
	host    string
	middle  []*process // gateway or proxies
	program []*process // the processes that answer, unless they cannot be measured
	hosts   []string   // of all its claims, if there may be several
}

// expense is what the processes of a way have used since they began.
type expense struct {
	middleCPU, programCPU         time.Duration
	middleMallocs, programMallocs float64
}

// spent reads both clocks.
func (w way) spent() (e expense, err error) {
	if e.middleCPU, err = cpuOf(w.middle); err != nil {
		return e, err
	}
	e.programCPU, err = cpuOf(w.program)
	return e, err
}

// allocated reads both counts of allocations into e.
func (w way) allocated(e *expense) (err error) {
	if e.middleMallocs, err = mallocsOf(w.middle); err != nil {
		return err
	}
	e.programMallocs, err = mallocsOf(w.program)
	return err
}

func cpuOf(all []*process) (sum time.Duration, err error) {
	for _, p := range all {
		one, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

// mallocsOf returns the sum of their counts, or 0 if one of the processes does not count.
func mallocsOf(all []*process) (sum float64, err error) {
	for _, p := range all {
		one, err := p.mallocs()
		if err != nil || one == 0 {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}
