package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// getSmall returns a GET of 1 KiB.
func getSmall(concurrency int) load {
	return load{name: "GET 1 KiB", concurrency: concurrency, method: "GET", target: "/small", want: whole(small)}
}

// get returns a GET of n bytes.
func get(name string, concurrency int, n int64) load {
	return load{name: name, concurrency: concurrency, method: "GET", target: "/content?bytes=" + strconv.FormatInt(n, 10), want: file(n)}
}

// down returns a GET of n bytes by one visitor, with its rate in MB/s.
func down(name string, n int64) load {
	l := get(name, 1, n)
	l.bytes = n
	return l
}

// up returns a POST of n bytes by one visitor, with its rate in MB/s.
func up(name string, n int64) load {
	return load{
		name: name, concurrency: 1, method: "POST", target: "/sink", fields: "Content-Type: application/octet-stream\r\n",
		content: file(n), want: whole(strconv.AppendInt(nil, n, 10)), bytes: n,
	}
}

// echo returns a POST whose answer is its content.
func echo(name string, concurrency int, contentType string, c []byte) load {
	return load{
		name: name, concurrency: concurrency, method: "POST", target: "/echo", fields: "Content-Type: " + contentType + "\r\n",
		content: whole(c), want: whole(c),
	}
}

// echoes are the two kinds of content in an envelope, text and bytes.
func echoes() []load {
	return []load{
		echo("echo 64 KiB of text", 16, "application/json", echoText(64<<10)),
		echo("echo 64 KiB of bytes", 16, "application/octet-stream", echoBytes(64<<10)),
	}
}

// sizes are the points of the growth of content.
var sizes = []struct {
	name  string
	bytes int64
}{{"0", 0}, {"1 KiB", 1 << 10}, {"64 KiB", 64 << 10}, {"1 MiB", 1 << 20}, {"16 MiB", 16 << 20}, {"64 MiB", 64 << 20}}

// traffic returns the works that compare all ways to the handler.
func (s *suite) traffic(ctx context.Context) error {
	var t *testbed
	var forwarded []way
	ordinary := func() []way { return t.ways }
	jobs := []job{}
	add := func(w work, ways func() []way) { jobs = append(jobs, job{w, ways}) }
	for _, concurrency := range []int{1, 4, 16, 64, 256, 1024} {
		w := getSmall(concurrency).work(s.o.each)
		w.line, w.at = lineConcurrency, strconv.Itoa(concurrency)
		ways := ordinary
		if concurrency == 64 {
			ways = func() []way { return slices.Concat(t.ways, forwarded) }
		}
		add(w, ways)
	}
	for _, l := range echoes() {
		add(l.work(s.o.each), ordinary)
	}
	add(events(s.o), ordinary)

	long := s.o.content(256 << 20)
	add(down("256 MiB down", long).work(s.o.each), ordinary)
	add(up("256 MiB up", long).work(s.o.each), ordinary)
	for _, size := range sizes {
		w := get("GET "+size.name+" of content", 4, s.o.content(size.bytes)).work(s.o.each)
		w.line, w.at = lineContent, size.name
		add(w, ordinary)
	}

	return s.measures(ctx, "traffic", jobs, false, func(at *testbed) error {
		t = at
		second, err := t.secondProxy(ctx, t.proxy.address)
		if err != nil {
			return err
		}
		forward, err := t.forward(ctx)
		forwarded = []way{second, forward}
		return err
	})
}

// farSuffix ends the names of works whose handler is 20 ms away.
const farSuffix = ", 20 ms away"

// far returns the works that compare the ways to a handler 20 ms away.
func (s *suite) far(ctx context.Context) error {
	var t *testbed
	long := s.o.content(64 << 20)
	var jobs []job
	for _, l := range []load{getSmall(1), getSmall(64), down("64 MiB down", long), up("64 MiB up", long)} {
		w := l.work(s.o.each)
		w.name += farSuffix
		jobs = append(jobs, job{w, func() []way { return t.ways }})
	}
	return s.measures(ctx, "a handler that is 20 ms away", jobs, true, func(at *testbed) error {
		t = at
		return nil
	})
}

// sessions returns the works that compare claims with few and with many sessions.
func (s *suite) sessions(ctx context.Context) error {
	ways := map[int][]way{}
	l := getSmall(64)
	var jobs []job
	counts := []int{1, 4, 16, 64}
	for _, n := range counts {
		w := l.work(s.o.each)
		w.name = fmt.Sprintf("%s by %d sessions", l.title(), n)
		w.line, w.at = lineSessions, strconv.Itoa(n)
		jobs = append(jobs, job{w, func() []way { return ways[n] }})
	}
	return s.measures(ctx, "many sessions on a claim", jobs, false, func(t *testbed) error {
		ways[1] = t.ways
		for _, n := range counts[1:] {
			_, more, err := t.serve(ctx, n)
			if err != nil {
				return err
			}
			ways[n] = append([]way{t.proxy}, more...)
		}
		return nil
	})
}
