package reversehttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/door"
	"reversehttp/server/gateway"
)

// A tunnel that is cut while handlers run costs nobody an answer, and no handler runs twice.
func TestNothingIsLostWithATunnel(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	way := &severer{to: l.addr}
	var runs sync.Map
	began := make(chan bool, 1000)
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		n, _ := runs.LoadOrStore(string(content), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		began <- true
		select {
		case <-r.Context().Done():
			t.Errorf("%s: the context ended: %v", content, context.Cause(r.Context()))
		case <-time.After(30 * time.Millisecond):
		}
		fmt.Fprintf(w, "%s answered", content)
	}), &reversehttp.Options{Client: way.client(t), Transport: reversehttp.TransportPTTH})
	client := l.client(t)
	var visits sync.WaitGroup
	for visitor := range 8 {
		visits.Go(func() {
			for i := range 25 {
				content := fmt.Sprintf("%d-%d", visitor, i)
				resp, err := client.Post(s.URL(), "text/plain", strings.NewReader(content))
				if err != nil {
					t.Error(err)
					return
				}
				if got := readBody(t, resp); got != content+" answered" {
					t.Errorf("%s: visitor got %d %q", content, resp.StatusCode, got)
				}
			}
		})
	}
	done := make(chan bool)
	go func() { visits.Wait(); close(done) }()
	cuts := 0
	for ended := false; !ended; {
		for i := 0; i < 20 && !ended; i++ {
			select {
			case <-began:
			case <-done:
				ended = true
			}
		}
		way.cut()
		cuts++
	}
	runs.Range(func(content, n any) bool {
		if n := n.(*atomic.Int64).Load(); n != 1 {
			t.Errorf("%s was handled %d times, want once", content, n)
		}
		return true
	})
	if cuts < 5 {
		t.Errorf("%d cuts: too few to show anything", cuts)
	}
}

// mutable is a connection that swallows what is written once it is mute.
type mutable struct {
	net.Conn
	mute atomic.Bool
	to   *io.PipeWriter
}

func (c *mutable) Write(p []byte) (int, error) {
	if c.mute.Load() {
		return c.to.Write(p)
	}
	return c.Conn.Write(p)
}

// mutableClient returns a client, and what has the connection that it dialled last.
func (l *lender) mutableClient(t *testing.T, to *io.PipeWriter) (*http.Client, *atomic.Pointer[mutable]) {
	var last atomic.Pointer[mutable]
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, l.addr)
		m := &mutable{Conn: conn, to: to}
		last.Store(m)
		return m, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, &last
}

// cutAtEnd cuts a connection that has become mute when the end of a stream was written to it.
func cutAtEnd(t *testing.T, swallowed *io.PipeReader, c *atomic.Pointer[mutable]) {
	frames := http2.NewFramer(io.Discard, swallowed)
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			t.Errorf("what was swallowed: %v", err)
			return
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
			_ = c.Load().Conn.Close()
			_ = swallowed.Close()
			return
		}
	}
}

// A stream that ended on a tunnel of which nothing arrived is answered all the same.
func TestAStreamThatATunnelLosesIsAnswered(t *testing.T) {
	for name, want := range map[string]string{
		"short": "streamed", "empty": "", "as long as the gateway lets it": strings.Repeat("x", 256<<10),
	} {
		t.Run(name, func(t *testing.T) {
			l := lend(t, hostShape, gateway.Options{})
			swallowed, to := io.Pipe()
			client, last := l.mutableClient(t, to)
			s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
				last.Load().mute.Store(true) // the tunnel is what was dialled last
				_, _ = io.WriteString(w, want)
				_ = http.NewResponseController(w).Flush()
			}), &reversehttp.Options{Client: client, Transport: reversehttp.TransportPTTH})
			go cutAtEnd(t, swallowed, last)
			resp, err := l.client(t).Post(s.URL(), "text/plain", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			if got := readBody(t, resp); got != want || resp.StatusCode != 200 {
				t.Errorf("visitor got %d and %d bytes %.40q, want %d bytes %.40q", resp.StatusCode, len(got), got, len(want), want)
			}
		})
	}
}

// Where a tunnel keeps much already, what it loses has failed, and nobody waits for it.
func TestAStreamThatATunnelDoesNotKeepFails(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	swallowed, to := io.Pipe()
	client, last := l.mutableClient(t, to)
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lost" {
			last.Load().mute.Store(true)
			_, _ = w.Write(large[:200_000])
			_ = http.NewResponseController(w).Flush()
			return
		}
		_, _ = w.Write(large[:250_000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}), &reversehttp.Options{Client: client, Transport: reversehttp.TransportPTTH})
	visitors := l.client(t)
	for range 8 << 20 / 250_000 {
		resp, err := visitors.Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if n, err := io.CopyN(io.Discard, resp.Body, 250_000); err != nil {
			t.Fatalf("%d bytes and %v", n, err)
		}
	}
	go cutAtEnd(t, swallowed, last)
	resp, err := visitors.Get(s.URL() + "lost")
	if err != nil {
		t.Fatal(err)
	}
	if got := readBody(t, resp); got != "Internal Server Error\n" || resp.StatusCode != 500 {
		t.Errorf("visitor got %d %.40q, want 500", resp.StatusCode, got)
	}
}

func TestAProgramThatWantsATunnelIsToldThatThereIsNone(t *testing.T) {
	none := func(*door.Host) []door.Door { return nil }
	l := lend(t, hostShape, gateway.Options{Doors: none})
	_, err := reversehttp.Claim(t.Context(), l.origin, &reversehttp.Options{Client: l.client(t), Transport: reversehttp.TransportPTTH})
	if !errors.Is(err, reversehttp.ErrNoTunnel) || !strings.Contains(err.Error(), "TransportAuto") {
		t.Errorf("Claim = %v, want ErrNoTunnel and what to do", err)
	}
	_, err = reversehttp.Claim(t.Context(), l.origin, &reversehttp.Options{Transport: "pigeon"})
	if err == nil || !strings.Contains(err.Error(), "auto, link, poll, stream, framed or ptth") {
		t.Errorf("Claim with a transport that is none = %v, want an error that lists them", err)
	}
}

func TestALabelThatGotNoTunnelIsFreeUnlessItsTokenWasGiven(t *testing.T) {
	none := func(*door.Host) []door.Door { return nil }
	l := lend(t, hostShape, gateway.Options{Doors: none})
	for token, want := range map[string]error{"": nil, "secret-of-demo": reversehttp.ErrLabelTaken} {
		o := reversehttp.Options{Label: "demo" + fmt.Sprint(len(token)), Token: token, Client: l.client(t), Transport: reversehttp.TransportPTTH}
		if _, err := reversehttp.Claim(t.Context(), l.origin, &o); !errors.Is(err, reversehttp.ErrNoTunnel) {
			t.Errorf("Claim = %v, want ErrNoTunnel", err)
		}
		o.Token, o.Transport = "", reversehttp.TransportPoll
		s, err := reversehttp.Claim(t.Context(), l.origin, &o)
		if !errors.Is(err, want) {
			t.Errorf("Claim after one with token %q = %v, want %v", token, err, want)
		}
		if err == nil {
			s.Close()
		}
	}
}

func TestShutdownWhileATunnelOpens(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{ClaimsPerSecond: -1})
	for i := range 150 {
		s, err := reversehttp.Claim(t.Context(), l.Public().Control, &reversehttp.Options{Transport: reversehttp.TransportPTTH})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(http.NotFoundHandler()) }()
		time.Sleep(time.Duration(i%30) * 100 * time.Microsecond) // at each moment of it
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err = s.Shutdown(ctx)
		cancel()
		if err != nil {
			t.Fatalf("shutdown %d: %v", i, err)
		}
		<-served
	}
}
