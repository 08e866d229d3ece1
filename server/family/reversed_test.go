package family

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

// reversed returns a TLS connection that begins turned.
func (w *town) reversed(protocol string) *talk {
	w.t.Helper()
	c, err := w.sealed(protocol)()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return &talk{Conn: c, in: bufio.NewReader(c), t: w.t}
}

// sealed makes the gateway listen by TLS, and returns a function that connects to it with a protocol.
func (w *town) sealed(protocol string) func() (net.Conn, error) {
	w.t.Helper()
	if *clustered {
		w.t.Skip("its listener belongs to one gateway")
	}
	lent := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer lent.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	sealed := w.ListenTLS(probing{l, w}, &tls.Config{Certificates: lent.TLS.Certificates}, w.ALPN())
	w.ends.Go(func() { _ = w.server.Serve(sealed) })
	roots := lent.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return func() (net.Conn, error) {
		return tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{protocol}})
	}
}

func TestAProgramThatConnectsByTLSGetsItsLabelOrAnError(t *testing.T) {
	if *clustered {
		t.Skip("its listener belongs to one gateway")
	}
	for name, x := range map[string]struct{ says, told string }{
		"a claim":       {`{"label":"mine","token":"t1","lease":90}`, `"label":"mine","url":"*/","lease":90`},
		"another's":     {`{"label":"demo","token":"t1"}`, `"code":"label_taken"`},
		"no token":      {`{"label":"mine"}`, `"code":"bad_json"`},
		"no JSON":       {`hello`, `"code":"bad_json"`},
		"a policy":      {`{"label":"mine","token":"t1","policy":{"bearer":[{"name":"ci","token":"a-token-of-ci-16"}]}}`, `"policy":{"bearer":[{"name":"ci"}]}`},
		"a bad policy":  {`{"label":"mine","token":"t1","policy":{"methods":[]}}`, `"code":"bad_member"`},
		"a bad lease":   {`{"label":"mine","token":"t1","lease":0}`, `"code":"bad_lease"`},
		"a bad label":   {`{"label":"-","token":"t1"}`, `"code":"bad_label"`},
		"a bad token":   {`{"label":"mine","token":"ü"}`, `"code":"bad_token"`},
		"an empty word": {`{"label":"mine","token":""}`, `"code":"bad_token"`},
	} {
		for _, protocol := range []string{"rh1", "rh2"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				w := newTown(t, gateway.Options{})
				w.serveOn(ways["PTTH"](w), http.NotFoundHandler())
				told := make(chan string, 1)
				p := new(http.Protocols)
				p.SetHTTP1(true)
				p.SetUnencryptedHTTP2(true)
				s := &http.Server{Protocols: p, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPut {
						b, _ := io.ReadAll(r.Body)
						told <- string(b)
						return
					}
					if r.Method != "GET" || r.URL.Path != claimPath || r.Host != w.host() {
						t.Errorf("%s %s of %s, want to be asked for a claim", r.Method, r.URL, r.Host)
					}
					_, _ = io.WriteString(rw, x.says)
				})}
				w.ends.Go(func() { _ = s.Serve(listenOn(w.reversed(protocol))) })
				t.Cleanup(func() { _ = s.Close() })
				want := strings.ReplaceAll(x.told, "*/", strings.Replace(w.Public().Base("demo"), "demo", "mine", 1))
				select {
				case got := <-told:
					if !strings.Contains(got, want) {
						t.Errorf("told %s, want %s", got, want)
					}
				case <-time.After(patience):
					t.Errorf("told nothing, want %s", want)
				}
			})
		}
	}
}

// TestEachDraftsLabelTurnsAConnection spells the labels as the bytes on the wire.
func TestEachDraftsLabelTurnsAConnection(t *testing.T) {
	for label, major := range map[string]int{
		"rh2": 2, "ph2": 2, "\xd5\x87\xc9\xa5": 2,
		"rh1": 1, "ph1": 1, "\xc6\x96\xc9\xa5": 1,
	} {
		t.Run(label, func(t *testing.T) {
			w := newTown(t, gateway.Options{})
			asked := make(chan int, 1)
			p := new(http.Protocols)
			p.SetHTTP1(true)
			p.SetUnencryptedHTTP2(true)
			s := &http.Server{Protocols: p, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					asked <- r.ProtoMajor
					_, _ = io.WriteString(rw, `{"label":"mine","token":"t1"}`)
				}
			})}
			c := w.reversed(label)
			w.ends.Go(func() { _ = s.Serve(listenOn(c)) })
			t.Cleanup(func() { _ = s.Close() })
			if got := <-asked; got != major {
				t.Errorf("asked by HTTP/%d, want %d", got, major)
			}
			waitFor(t, func() bool { return w.Registry().Lookup("mine") != nil })
		})
	}
}

func TestATooLongClaimEndsItsConnection(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := w.reversed("rh1")
	c.request()
	_, _ = fmt.Fprintf(c.Conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 2*mostClaim, `{"label":"mine","token":"t1"}`+strings.Repeat(" ", mostClaim))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
	if n := w.Registry().Stats().Sessions; n != 0 {
		t.Errorf("%d sessions, want none", n)
	}
}
