package main

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what is asked of both ways: one request, over and over.
type load struct {
	name        string
	concurrency int
	// share is the part of --requests that is sent; slow cases send less.
	share   float64
	method  string
	target  string
	fields  string
	content []byte
	want    []byte
}

// title names the case in the table.
func (l load) title() string { return fmt.Sprintf("%s at %d", l.name, l.concurrency) }

// loads are the cases of the benchmark.
func loads() []load {
	text := echoText(64 << 10)
	binary := echoBytes(64 << 10)
	typed := func(t string) string { return "Content-Type: " + t + "\r\n" }
	return []load{
		{name: "GET 1 KiB", concurrency: 1, share: 0.5, method: "GET", target: "/small", want: small},
		{name: "GET 1 KiB", concurrency: 64, share: 1, method: "GET", target: "/small", want: small},
		{name: "echo 64 KiB of text", concurrency: 16, share: 0.25, method: "POST", target: "/echo", fields: typed("application/json"), content: text, want: text},
		{name: "echo 64 KiB of bytes", concurrency: 16, share: 0.25, method: "POST", target: "/echo", fields: typed("application/octet-stream"), content: binary, want: binary},
	}
}

// echoText is JSON, which has characters that an envelope must escape.
func echoText(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "{\"number\":%d,\"word\":\"Grüße\",\"true\":true}\n", i)
	}
	// The last character may be cut in two; text it must stay.
	return append(bytes.ToValidUTF8(b[:n-8], []byte("?")), bytes.Repeat([]byte(" "), 8)...)[:n]
}

// echoBytes is not UTF-8, so that an envelope carries it as base64.
func echoBytes(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// way is one of the ways to the handler: through the proxy, or through the gateway by
// one of its transports.
type way struct {
	name    string
	address string
	host    string
	middle  *process // the gateway or the proxy
	handler *process
}

// figures are what one round, or the median of several, gives.
type figures struct {
	RequestsPerSecond float64 `json:"requestsPerSecond"`
	P50Ms             float64 `json:"p50Ms"`
	P99Ms             float64 `json:"p99Ms"`
	// MiddleCPU is the CPU time of gateway or proxy, PathCPU of it and the
	// handler's process, in seconds for 10,000 requests.
	MiddleCPU float64 `json:"middleCpuSeconds"`
	PathCPU   float64 `json:"pathCpuSeconds"`
}

// run sends n requests one way, after some to warm up.
func (l load) run(w way, n int) (f figures, err error) {
	request := requestOf(l.method, l.target, w.host, l.fields, l.content)
	visitors := make([]*visitor, min(l.concurrency, n))
	for i := range visitors {
		if visitors[i], err = dial(w.address, 2*time.Minute); err != nil {
			return f, err
		}
		defer visitors[i].close()
	}
	if _, err = l.visit(visitors, request, max(n/10, len(visitors))); err != nil {
		return f, err
	}
	middle, err := w.middle.cpu()
	if err != nil {
		return f, err
	}
	handler, err := w.handler.cpu()
	if err != nil {
		return f, err
	}
	begun := time.Now()
	took, err := l.visit(visitors, request, n)
	if err != nil {
		return f, err
	}
	elapsed := time.Since(begun)
	middleEnd, err := w.middle.cpu()
	if err != nil {
		return f, err
	}
	handlerEnd, err := w.handler.cpu()
	if err != nil {
		return f, err
	}
	per10k := func(d time.Duration) float64 { return d.Seconds() * 10_000 / float64(n) }
	f.RequestsPerSecond = float64(n) / elapsed.Seconds()
	f.P50Ms, f.P99Ms = percentile(took, 50), percentile(took, 99)
	f.MiddleCPU = per10k(middleEnd - middle)
	f.PathCPU = f.MiddleCPU + per10k(handlerEnd-handler)
	return f, nil
}

// visit has the visitors send n requests between them, and gives how long each
// took, in rising order.
func (l load) visit(visitors []*visitor, request []byte, n int) ([]time.Duration, error) {
	var left atomic.Int64
	left.Store(int64(n))
	took := make([][]time.Duration, len(visitors))
	faults := make([]error, len(visitors))
	var all sync.WaitGroup
	for i, v := range visitors {
		all.Go(func() {
			took[i] = make([]time.Duration, 0, 2*n/len(visitors))
			for left.Add(-1) >= 0 {
				begun := time.Now()
				err := v.ask(request, 200)
				took[i] = append(took[i], time.Since(begun))
				if err == nil && !bytes.Equal(v.content, l.want) {
					err = fmt.Errorf("content is not as expected, %d bytes where %d are due", len(v.content), len(l.want))
				}
				if err != nil {
					faults[i] = err
					left.Store(0)
					return
				}
			}
		})
	}
	all.Wait()
	for _, err := range faults {
		if err != nil {
			return nil, err
		}
	}
	merged := slices.Concat(took...)
	slices.Sort(merged)
	return merged, nil
}

// percentile gives the p-th percentile of rising times, in milliseconds.
func percentile(rising []time.Duration, p int) float64 {
	i := (len(rising)*p+99)/100 - 1
	return float64(rising[max(i, 0)]) / float64(time.Millisecond)
}
