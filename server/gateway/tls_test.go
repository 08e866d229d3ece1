package gateway

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"reversehttp/schema"
)

// certificate is a certificate that tests do not verify.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func TestBothVersionsOfHTTPWorkOverTLS(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, want := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(want+" "+tls.VersionName(version), func(t *testing.T) {
				_, address := onTCP(t, Options{PublicURL: "https://localhost/at/{label}/", Loopback: true}, config)
				transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: version}}
				transport.Protocols.SetHTTP1(want == "HTTP/1.1")
				transport.Protocols.SetHTTP2(want == "HTTP/2.0")
				defer transport.CloseIdleConnections()
				client := &http.Client{Transport: transport}
				for range 2 { // the second one on a connection that was idle
					resp, err := client.Post("https://"+address+"/at/nobody/a", "application/octet-stream", io.MultiReader(strings.NewReader("x")))
					got := newReply(resp, err)
					if got.Err != nil || got.Version != want || got.Status != 404 || got.code() != schema.CodeNoClaim {
						t.Errorf("answer = %s %d %s %v, want %s and no_claim", got.Version, got.Status, got.Content, got.Err, want)
					}
				}
			})
		}
	}
}

// RFC 9113, 9.2 requires more than the default; net/http does not check it.
func TestTLSMeetsTheRequirementsOfHTTP2(t *testing.T) {
	_, address := onTCP(t, Options{}, &tls.Config{Certificates: []tls.Certificate{certificate()}, MinVersion: tls.VersionTLS10})
	for name, c := range map[string]*tls.Config{
		"TLS 1.1":             {MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
		"a prohibited cipher": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
	} {
		c.InsecureSkipVerify = true
		if conn, err := tls.Dial("tcp", address, c); err == nil {
			_ = conn.Close()
			t.Errorf("%s: it was accepted", name)
		}
	}
}

// over starts a gateway whose TLS offers other protocols, and returns a function that connects with one of
// them.
func (w *world) over(protocols map[string]func(*tls.Conn)) (l net.Listener, dial func(protocols ...string) *tls.Conn) {
	network := newPipeListener()
	l = w.gateway.ListenTLS(network, &tls.Config{Certificates: []tls.Certificate{certificate()}, SessionTicketsDisabled: true}, protocols)
	server, served := w.gateway.Server(), make(chan error, 1)
	server.ErrorLog = log.New(io.Discard, "", 0)
	go func() { served <- server.Serve(l) }()
	w.t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return l, func(protocols ...string) *tls.Conn {
		w.t.Helper()
		below, err := network.dial(visitorAddr)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = below.Close() })
		c := tls.Client(below, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		if err := c.Handshake(); err != nil {
			w.t.Fatal(err)
		}
		return c
	}
}

func TestAProtocolChosenByALPNHasItsConnection(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		ended := make(chan error, 1)
		l, dial := w.over(map[string]func(*tls.Conn){"rh2": func(c *tls.Conn) {
			_, _ = io.WriteString(c, "hello")
			_, err := io.Copy(io.Discard, c) // until it can read no more
			ended <- err
		}})
		c := dial("rh2")
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Errorf("rh2 said %q %v", got, err)
		}
		for want, offered := range map[string][]string{"": nil, "h2": {"rh2", "h2"}, "http/1.1": {"http/1.1"}} {
			c := dial(offered...)
			if got := c.ConnectionState().NegotiatedProtocol; got != want {
				t.Errorf("offered %q: %q was chosen, want %q", offered, got, want)
			}
			if want == "h2" {
				continue // it has its own test
			}
			_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost:8080\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if got := newReply(resp, err); got.Status != 204 {
				t.Errorf("offered %q: answer = %d %v, want 204", offered, got.Status, got.Err)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Error("it read to the end of a peer that did not leave")
			}
		default:
			t.Error("the listener did not wait for rh2")
		}
	})
}

func TestAPanicOfAProtocolEndsItsConnectionOnly(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		_, dial := w.over(map[string]func(*tls.Conn){"rh2": func(*tls.Conn) { panic("a bug") }})
		if n, err := dial("rh2").Read(make([]byte, 1)); err == nil {
			t.Errorf("it got %d bytes", n)
		}
		if got := w.counted("reversehttp_panics_total"); !slices.Equal(got, []string{"reversehttp_panics_total 1"}) {
			t.Errorf("counted %q", got)
		}
		_ = dial("h2")
	})
}

// A slow handshake delays neither others nor the end of the listener.
func TestSlowHandshakesDelayNothingElse(t *testing.T) {
	inWorld(t, Options{FieldTime: 3 * time.Second}, func(w *world) {
		network := newPipeListener()
		l := w.gateway.ListenTLS(network, &tls.Config{Certificates: []tls.Certificate{certificate()}, SessionTicketsDisabled: true}, nil)
		slow := func(said string) (ended chan time.Duration) {
			c, err := network.dial(visitorAddr)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			ended = make(chan time.Duration, 1)
			go func() {
				_, _ = io.WriteString(c, said)
				if got, _ := io.ReadAll(c); strings.Contains(string(got), "HTTP") {
					t.Errorf("%q: it said %q", said, got)
				}
				ended <- time.Since(begun)
			}()
			return ended
		}
		const record = "\x16\x03\x01\x02\x00GET / HTTP/1.1" // begins like a record of a handshake
		first := []chan time.Duration{slow(""), slow(record)}
		synctest.Wait()
		network.sealed = true
		dialed := make(chan net.Conn)
		go func() {
			c, err := network.dial(visitorAddr)
			if err != nil {
				t.Error(err)
			}
			dialed <- c
		}()
		begun := time.Now()
		c, err := l.Accept()
		if err != nil || time.Since(begun) > 0 {
			t.Fatalf("accepted %v after %s", err, time.Since(begun))
		}
		defer (<-dialed).Close()
		defer c.Close()
		for _, ended := range first {
			if took := <-ended; took != 3*time.Second {
				t.Errorf("a slow handshake took %s", took)
			}
		}
		network.sealed = false
		last := slow(record)
		synctest.Wait()
		_ = l.Close()
		if took := <-last; took > 0 {
			t.Errorf("a handshake outlived the listener by %s", took)
		}
		if _, err := l.Accept(); err == nil {
			t.Error("a closed listener accepts")
		}
	})
}

func TestARequestWithoutTLSGetsAnError(t *testing.T) {
	_, address := onTCP(t, Options{}, &tls.Config{Certificates: []tls.Certificate{certificate()}})
	for _, raw := range []string{get(host, "/"), requestTo("PROPFIND", host, "/"), http2.ClientPreface} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, raw)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if got := newReply(resp, err); got.Status != 400 || got.code() != schema.CodeBadRequest || got.handed() != "?0" || !strings.Contains(string(got.Content), "https") {
			t.Errorf("%.9q: answer = %d %s %v, want 400 bad_request", raw, got.Status, got.Content, got.Err)
		}
		_ = c.Close()
	}
}

// Errors of a listener reach Accept, and temporary ones stay temporary.
func TestErrorsOfAcceptPass(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		below := &failing{Listener: newPipeListener()}
		l := w.gateway.ListenTLS(below, &tls.Config{}, nil)
		for range 3 {
			if _, err := l.Accept(); err != io.ErrNoProgress {
				t.Errorf("accept: %v, want the error of the listener below", err)
			}
		}
		_ = l.Close()
		if below.times > 4 {
			t.Errorf("it was asked %d times for 3", below.times)
		}
	})
}

type failing struct {
	net.Listener
	times int
}

func (l *failing) Accept() (net.Conn, error) {
	l.times++
	return nil, io.ErrNoProgress
}

func TestAfterALPNChoseHTTP2HTTP1IsRefused(t *testing.T) {
	_, address := onTCP(t, Options{}, &tls.Config{Certificates: []tls.Certificate{certificate()}})
	for _, raw := range []string{get(host, "/"), strings.Replace(http2.ClientPreface, "SM", "XX", 1)} {
		c := tls.Client(dialTCP(t, address), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		_, _ = io.WriteString(c, raw)
		if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
			t.Errorf("%.9q: it said %q %v", raw, got, err)
		}
		_ = c.Close()
	}
}
