package proxies

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	reversehttp "reversehttp/sdk-go"
)

// Every transport passes ordinary proxies, with https: by CONNECT.
func TestEveryTransportPassesARealProxy(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) proxy{
		"squid":     func(t *testing.T) proxy { return startSquid(t, "") },
		"tinyproxy": func(t *testing.T) proxy { return startTinyproxy(t, 600) },
	} {
		for _, secure := range []bool{false, true} {
			for _, transport := range []reversehttp.Transport{"auto", "link", "poll", "stream", "framed"} {
				scheme := map[bool]string{false: "http", true: "https"}[secure]
				t.Run(strings.Join([]string{name, scheme, string(transport)}, " "), func(t *testing.T) {
					p := begin(t)
					l := lend(t, "localhost", secure, nil)
					client := p.client(t)
					if secure {
						client.Transport.(*http.Transport).TLSClientConfig = l.Client().Transport.(*http.Transport).TLSClientConfig
						client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
					}
					serve(t, scheme+"://"+l.host, reversehttp.Options{Client: client, Transport: transport})
					check(t, l)
					asked := transport == "link" || transport == "auto"
					if n := l.count("stream") + l.count("batch"); asked && secure == (n > 0) {
						t.Errorf("%d polls came to the gateway, want some if the proxy removes Upgrade: %v", n, !secure)
					}
				})
			}
		}
	}
}

// The proxy is like a firewall of the year 2000: it passes only GET and POST, and relays an answer once it is complete.
// The session cannot end itself, because that takes a DELETE. The gateway notices its loss later, and the label can
// still be claimed again at once.
func TestAProxyThatPassesOnlyGetAndPostAndBuffers(t *testing.T) {
	squid := startSquid(t, "acl plain method GET POST\nhttp_access deny !plain")
	l := lend(t, "localhost", false, buffering)
	first := serve(t, "http://"+l.host, reversehttp.Options{Client: squid.client(t)})
	check(t, l)
	if streams, batches := l.count("stream"), l.count("batch"); streams != 1 || batches == 0 {
		t.Errorf("%d streams and %d batches were asked for, want one stream and then batches", streams, batches)
	}
	token := first.Token()
	var refused *reversehttp.Error
	if err := first.Delete(t.Context()); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("Delete = %v, want the 403 of the proxy", err)
	}
	first.Close()
	if n := l.count("DELETE "); n != 0 {
		t.Errorf("%d DELETE passed the proxy, want none", n)
	}
	serve(t, "http://"+l.host, reversehttp.Options{Client: squid.client(t), Token: token})
	check(t, l)
}

// buffering relays an answer only once it is complete.
func buffering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/claims") { // visitors use no proxy
			h.ServeHTTP(w, r)
			return
		}
		all := &httptest.ResponseRecorder{Body: new(bytes.Buffer)}
		h.ServeHTTP(all, r)
		for name, values := range all.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(all.Code)
		_, _ = w.Write(all.Body.Bytes())
	})
}
