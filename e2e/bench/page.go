package main

import (
	"context"
	"embed"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"time"
)

// pageFiles are a page that serves a claim, and a program for Node that does.
//
//go:embed page.html page.js node.js
var pageFiles embed.FS

// pages compares sdk-js in Chromium with sdk-js in Node.
func (s *suite) pages(ctx context.Context) error {
	var t *testbed
	var js []way
	ways := func() []way { return slices.Concat([]way{t.proxy}, js) }
	size := s.o.content(64 << 20)
	jobs := []job{{down("page: file of 64 MiB", size).work(s.o.each), ways}}
	for _, l := range append(echoes(), getSmall(16)) {
		l.name = "page: " + l.name
		jobs = append(jobs, job{l.work(s.o.each), ways})
	}
	// A page that speaks HTTP/1.1 takes two WebSockets at a time.
	for _, of := range []struct{ sockets, messages int }{{100, 100}, {2, 200}} {
		jobs = append(jobs, job{sockets(s.o, of.sockets, of.messages), func() []way {
			return slices.DeleteFunc(slices.Concat(t.ways, js), func(w way) bool {
				return of.sockets > 2 && w.name == pageWay || !slices.Contains([]string{proxyWay, "link", pageWay, nodeWay}, w.name)
			})
		}})
	}
	return s.measures(ctx, "sdk-js in a page and in Node", jobs, false, func(at *testbed) error {
		t = at
		for _, one := range []struct {
			way   string
			serve func(context.Context, string) (string, *process, error)
		}{{pageWay, t.page}, {nodeWay, t.node}} {
			path, err := find(one.way)
			if err != nil {
				if inCI() {
					return err
				}
				s.report.skip("sdk-js by "+one.way, err)
				continue
			}
			url, p, err := one.serve(ctx, path)
			if err != nil {
				return err
			}
			var program []*process
			if p != nil {
				program = append(program, p)
			}
			w, err := t.way(one.way, url, program...)
			if err != nil {
				return err
			}
			js = append(js, w)
		}
		return nil
	})
}

// inCI reports whether this runs where nobody looks: nothing may be skipped there.
func inCI() bool { return !slices.Contains([]string{"", "0", "false"}, os.Getenv("CI")) }

// find returns the path of the program that a way needs. CHROMIUM names another browser.
func find(name string) (string, error) {
	if name == nodeWay {
		return exec.LookPath("node")
	}
	if chosen := os.Getenv("CHROMIUM"); chosen != "" {
		return exec.LookPath(chosen)
	}
	for _, one := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(one); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium here")
}

// page serves a claim with sdk-js in a page of its own in a new Chromium. Its
// processes are many, and are not looked into.
func (t *testbed) page(ctx context.Context, chromium string) (string, *process, error) {
	site, err := startSite()
	if err != nil {
		return "", nil, err
	}
	t.closing = append(t.closing, site.close)
	_, port, err := net.SplitHostPort(t.control)
	if err != nil {
		return "", nil, err
	}
	open := site.url + "page.html?" + url.Values{"gateway": {"http://localhost:" + port}}.Encode()
	b, err := startBrowser(ctx, chromium, t.dir, open)
	if err != nil {
		return "", nil, err
	}
	t.closing = append(t.closing, b.close)
	select {
	case claimed := <-site.claimed:
		return claimed, nil, nil
	case reason := <-site.failed:
		return "", nil, errors.New("the page: " + reason)
	case <-b.ended:
		return "", nil, errors.New("the browser ended")
	case <-time.After(time.Minute):
		return "", nil, errors.New("the page did not claim within a minute")
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
}
