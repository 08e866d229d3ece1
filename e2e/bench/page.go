package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
)

// pageFiles are a page and a program for Node that serve a claim.
//
//go:embed page.html handler.js node.js
var pageFiles embed.FS

// pages compares sdk-js in Chromium and in Node.
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
	// Over HTTP/1.1 a page handles two WebSockets at a time.
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
				if err := s.lacks("sdk-js by "+one.way, err); err != nil {
					return err
				}
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

// lacks skips works that cannot be measured here. In CI it returns an error.
func (s *suite) lacks(what string, why error) error {
	if inCI() {
		return why
	}
	s.report.skip(what, why)
	return nil
}

// inCI reports whether this runs in CI, where nothing may be skipped.
func inCI() bool { return !slices.Contains([]string{"", "0", "false"}, os.Getenv("CI")) }

// find returns the path of a program that a way needs. CHROMIUM names another browser.
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

// page serves a claim with sdk-js in a page of a new Chromium. It does not measure the processes of Chromium.
func (t *testbed) page(ctx context.Context, chromium string) (string, *process, error) {
	urls, err := t.openTabs(ctx, chromium, 1)
	if err != nil {
		return "", nil, err
	}
	return urls[0], nil, nil
}

// openTabs opens n tabs of a new Chromium, each of which serves a claim with sdk-js, and returns their public URLs.
func (t *testbed) openTabs(ctx context.Context, chromium string, n int) (urls []string, err error) {
	site, err := startSite()
	if err != nil {
		return nil, err
	}
	t.closing = append(t.closing, site.close)
	_, port, err := net.SplitHostPort(t.control)
	if err != nil {
		return nil, err
	}
	b, err := startBrowser(ctx, chromium, t.dir)
	if err != nil {
		return nil, err
	}
	t.closing = append(t.closing, b.close)
	for i := range n {
		of := url.Values{"gateway": {"http://localhost:" + port}, "label": {fmt.Sprintf("bench-tab-%d-of-%d", i+1, n)}}
		if err := b.open(site.url + "page.html?" + of.Encode()); err != nil {
			return nil, err
		}
		one, err := site.wait(ctx, b)
		if err != nil {
			return nil, err
		}
		urls = append(urls, one)
	}
	return urls, nil
}
