package main

import (
	"bufio"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"reversehttp/server/gateway"
	"reversehttp/server/trace"
)

func TestForwardContinuesTheTraceOfARequest(t *testing.T) {
	t.Parallel()
	const parent, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "congo=t61rcWkgMzE"
	b := serveBare(t, func(string) string { return nothing })
	for begins, fresh := range map[trace.Begin]string{trace.Sampled: "^00-[0-9a-f]{32}-[0-9a-f]{16}-03$", trace.None: "^$"} {
		l := lend(t, hostShape, gateway.Options{Traces: begins})
		r := l.claim(t, "forward", b.url())
		host, _ := publicOf(r.url)
		for _, c := range []struct{ sent, parents, states string }{
			{"", fresh, ""},
			{"tracestate: a=1\r\n", fresh, map[trace.Begin]string{trace.None: "a=1"}[begins]},
			{"traceparent: " + parent + "\r\ntracestate: a=1\r\nTracestate: b=2\r\n", "^" + parent + "$", "a=1;b=2"},
			{"traceparent: cc" + parent[2:] + "-later\r\ntracestate: " + state + "\r\n", "^cc" + parent[2:] + "-later$", state},
			{"traceparent: " + parent + "-\r\ntracestate: " + state + "\r\n", map[trace.Begin]string{trace.Sampled: fresh, trace.None: "^" + parent + "-$"}[begins], map[trace.Begin]string{trace.None: state}[begins]},
		} {
			fieldsOf(t, l.addr, "GET / HTTP/1.1\r\nHost: "+host+"\r\n"+c.sent+"\r\n", "GET")
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(<-b.heads)))
			if err != nil {
				t.Fatal(err)
			}
			parents, states := strings.Join(req.Header["Traceparent"], ";"), strings.Join(req.Header["Tracestate"], ";")
			if !regexp.MustCompile(c.parents).MatchString(parents) || states != c.states {
				t.Errorf("%s: %q reached the local server with %q and %q, want %s and %q", begins, c.sent, parents, states, c.parents, c.states)
			}
		}
	}
}
