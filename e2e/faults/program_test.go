package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// roleProgram is the argument with which this test's binary serves a claim:
//
//	as-program ORIGIN PROXY LABEL TOKEN NAME TRANSPORT
//
// It prints these lines:
//
//	state STATE                  the state of the session changed
//	begin KEY METHOD ATTEMPT RUN a handler begins
//	read KEY HASH RUN            the handler read the whole content
const roleProgram = "as-program"

// serveProgram serves a claim until standard input ends.
func serveProgram(args []string) error {
	if len(args) != 6 {
		return fmt.Errorf("give origin, proxy, label, token, name and transport, not %q", args)
	}
	origin, proxy, label, token, name := args[0], args[1], args[2], args[3], args[4]
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 6
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, proxy)
	}
	h := &handler{name: name}
	opts := &reversehttp.Options{
		Label: label, Token: token, Transport: reversehttp.Transport(args[5]), Client: &http.Client{Transport: transport},
		OnState: func(s reversehttp.State) { say("state", s.String()) },
		Logger:  slog.New(slog.DiscardHandler), // so anything on standard error is a fault
	}
	for {
		s, err := reversehttp.Claim(context.Background(), origin, opts)
		if err == nil {
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				_ = s.Close()
			}()
			if err := s.Serve(h); !errors.Is(err, reversehttp.ErrClosed) {
				return err
			}
			return nil
		}
		if errors.Is(err, reversehttp.ErrLabelTaken) {
			return err
		}
		<-time.After(50 * time.Millisecond)
	}
}

var saying sync.Mutex

// say writes a line to standard output, unbuffered.
func say(words ...string) {
	saying.Lock()
	defer saying.Unlock()
	_, _ = os.Stdout.WriteString(strings.Join(words, " ") + "\n")
}

// handler answers each request as its fields ask.
type handler struct {
	name string
	runs atomic.Uint64
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get(fieldKey)
	run := h.name + "-" + strconv.FormatUint(h.runs.Add(1), 10)
	attempt := reversehttp.RequestInfo(r.Context()).Attempt
	say("begin", key, r.Method, strconv.Itoa(attempt), run)
	if target := "/" + key; r.URL.Path != target {
		say("fault", key, "target", r.URL.Path)
	}
	x := want{shape: shape(r.Header.Get(fieldShape))}
	x.size, _ = strconv.Atoi(r.Header.Get(fieldSize))
	switch {
	case x.shape == held && attempt == 1:
		<-r.Context().Done()
		return
	case x.shape == slow:
		<-time.After(300 * time.Millisecond)
	}
	hd := w.Header()
	hd.Set(fieldKey, key)
	hd.Set(fieldRun, run)
	hd.Set("Content-Type", "application/octet-stream")
	if x.shape != early {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the content was cut
		}
		sum := hash(content)
		say("read", key, sum, run)
		hd.Set(fieldRead, sum)
	}
	content := contentOf(key+" "+run, x.size, r.Header.Get(fieldText) == "true")
	if x.shape == stated {
		hd.Set("Content-Length", strconv.Itoa(len(content)))
	}
	if x.shape != flushed {
		if _, err := w.Write(content); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	rc := http.NewResponseController(w)
	pieces := 1 + len(content)%5
	for i := range pieces {
		piece := content[len(content)*i/pieces : len(content)*(i+1)/pieces]
		if _, err := w.Write(piece); err != nil || rc.Flush() != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// program is the process of a program that serves a claim.
type program struct {
	name string
	cmd  *exec.Cmd
	stop io.Closer
	told chan struct{} // closed once hear had its last line
	logs *logged
	// over reports whether the test ends it.
	over atomic.Bool
}

// startProgram starts a program that reaches the gateway through a proxy. It calls hear with each line of the
// program, in order.
func startProgram(t *testing.T, g *gateway, p *proxy, claim owned, name, transport string, hear func(program string, words []string)) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, roleProgram, g.origin(), p.address, claim.label, claim.token, name, transport)
	c := &program{name: name, cmd: cmd, told: make(chan struct{}), logs: &logged{}}
	cmd.Stderr = c.logs
	if c.stop, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.told)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			hear(name, strings.Fields(lines.Text()))
		}
		if !c.over.Load() {
			hear(name, []string{"ended by itself"})
		}
	}()
	return c
}

// kill ends the program as kill -9 does, waits until hear had its last line, and returns its log. Anything there, such
// as a data race, is a fault. kill may be called again.
func (c *program) kill() (log string) {
	c.over.Store(true)
	_ = c.cmd.Process.Kill()
	<-c.told
	_ = c.cmd.Wait()
	return c.logs.String()
}

// owned is a label and the token that owns it.
type owned struct{ label, token string }
