package abuse

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"reversehttp/server/family"
	lender "reversehttp/server/gateway"
)

// Small answers do not wait behind large ones, and slow readers of large ones cost little, whichever way
// their program is connected. The program is this binary in its own process, so that its heap can be
// measured; the gateway runs in the process of the test.

const (
	// How many visitors read large answers, and how large those are, in bytes.
	bulkReaders = 120
	bulkSize    = 16 << 20
	// How many visitors at a time request small answers meanwhile, and how many requests there are.
	bulkTogether   = 8
	bulkBeside     = 80
	bulkBesideLong = 400 // with -long
	// How much the program may hold for a slow reader, in bytes: what a session holds before an answer
	// streams, and what a stream holds.
	bulkHolds = 192 << 10
	// On a link the beginning of an answer is kept until the visitor has it, in case the link ends.
	bulkLinkHolds = bulkHolds + 80<<10
	// In addition, for an answer that has begun and stays open.
	bulkOpenHolds = 96 << 10
	// How much may remain when they have left: ids, and grown maps.
	bulkStays = 4 << 20
	// How much of large answers may arrive for each reader between a request and its small answer, if all are
	// read at full speed: some HTTP/2 frames in turn, and the content of sockets.
	bulkBetween = 256 << 10
)

var bulkWays = []string{"poll", "stream", "framed", "link", "ietfPtth with h2"}

// bulkWorld is a gateway and a program.
type bulkWorld struct {
	t       *testing.T
	address string // of the gateway
	at      string // the program's URL
	stdin   io.Writer
	stdout  *bufio.Reader
	client  *http.Client
	came    atomic.Int64 // bytes that readers have received
}

// narrow limits the buffers of a socket, so that a slow reader has an effect.
func narrow(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10)
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 32<<10)
	})
}

func newBulkWorld(t *testing.T, way string) *bulkWorld {
	l, err := (&net.ListenConfig{Control: narrow}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	g, err := lender.New(lender.Options{
		PublicURL: "http://{label}.localhost:" + port + "/", Loopback: true, Doors: family.Doors(family.Options{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := g.Server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(lender.Listen(l)) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
		g.Close()
	})
	w := &bulkWorld{t: t, address: l.Addr().String()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "BULK_WAY="+way, "BULK_GATEWAY=http://localhost:"+port)
	cmd.Stderr = os.Stderr
	stdin, _ := cmd.StdinPipe()
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	w.stdin, w.stdout = stdin, bufio.NewReader(stdout)
	if w.at, err = w.stdout.ReadString('\n'); err != nil {
		t.Fatalf("the program did not start: %v", err)
	}
	w.at = strings.TrimSpace(w.at)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", w.address)
		},
		MaxIdleConnsPerHost: bulkTogether,
	}
	t.Cleanup(transport.CloseIdleConnections)
	w.client = &http.Client{Transport: transport}
	until(w.t, "the program is there", func() bool { return w.small() == "200 small" })
	return w
}

// ask reads figures from the program.
func (w *bulkWorld) ask(what string) (f bulkFigures) {
	w.t.Helper()
	_, _ = fmt.Fprintln(w.stdin, what)
	line, err := w.stdout.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &f)
	}
	if err != nil {
		w.t.Fatalf("the program ended: %v", err)
	}
	return f
}

// small requests a small answer, and returns its status and content.
func (w *bulkWorld) small() string {
	resp, err := w.client.Get(w.at)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return strconv.Itoa(resp.StatusCode) + " " + string(content)
}

// beside requests many small answers.
func (w *bulkWorld) beside() {
	w.t.Helper()
	var all sync.WaitGroup
	for range bulkTogether {
		all.Go(func() {
			for range sized(bulkBeside, bulkBesideLong) / bulkTogether {
				if got := w.small(); got != "200 small" {
					w.t.Errorf("a small answer is %.200q, want 200", got)
					return
				}
			}
		})
	}
	all.Wait()
}

// readers requests an answer for each reader, and returns a function that makes them leave. They read the
// first bytes and then nothing, or, if that number is negative, all of it repeatedly.
func (w *bulkWorld) readers(n int, path string, bytes int64) (leave func()) {
	w.t.Helper()
	u, _ := url.Parse(w.at)
	begun := make(chan error, n)
	var conns []net.Conn
	var reading sync.WaitGroup
	for range n {
		c, err := (&net.Dialer{Control: narrow}).Dial("tcp", w.address)
		if err != nil {
			w.t.Fatal(err)
		}
		conns = append(conns, c)
		reading.Go(func() {
			_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, u.Host)
			resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %d", resp.StatusCode)
			}
			if err == nil && bytes > 0 {
				_, err = io.CopyN(io.Discard, resp.Body, bytes)
			}
			begun <- err
			for buf := make([]byte, 32<<10); bytes < 0; {
				n, err := resp.Body.Read(buf)
				w.came.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	for range n {
		if err := <-begun; err != nil {
			w.t.Fatalf("a large answer: %v", err)
		}
	}
	return func() {
		for _, c := range conns {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
		reading.Wait()
	}
}

// still waits until no more bytes arrive.
func (w *bulkWorld) still() {
	w.t.Helper()
	before, since := int64(-1), time.Now()
	until(w.t, "large answers stand still", func() bool {
		if now := w.ask("").Written; now != before {
			before, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	})
}

// judge waits until the program holds no more than the bound for each of its readers.
func (w *bulkWorld) judge(before bulkFigures, each int64) {
	w.t.Helper()
	var held int64
	defer func() { w.t.Logf("the program holds %d KiB for each of %d readers", held>>10, bulkReaders) }()
	until(w.t, fmt.Sprintf("%d KiB for each reader", each>>10), func() bool {
		f := w.ask("collect")
		if held = (f.Heap - before.Heap) / bulkReaders; f.Running != bulkReaders {
			w.t.Fatalf("%d handlers run, want %d", f.Running, bulkReaders)
		}
		return held <= each
	})
}

// left waits until the program holds as much as before.
func (w *bulkWorld) left(before bulkFigures) {
	w.t.Helper()
	until(w.t, "the program holds what it did", func() bool {
		f := w.ask("collect")
		return f.Running == 0 && f.Heap-before.Heap < bulkStays
	})
}

func TestSmallAnswersAreNotBehindReadersWhoStandStill(t *testing.T) {
	for _, way := range bulkWays {
		t.Run(way, func(t *testing.T) {
			w := newBulkWorld(t, way)
			w.beside() // the first visitors leave data that is not due to readers
			before := w.ask("collect")
			leave := w.readers(bulkReaders, "/large", 1)
			w.beside()
			w.still()
			written := w.ask("").Written
			w.beside()
			if now := w.ask(""); now.Written != written || now.Running == 0 {
				t.Errorf("%d bytes of large answers were written beside small ones, by %d handlers; want none, and some", now.Written-written, now.Running)
			}
			if way == "link" {
				w.judge(before, bulkLinkHolds)
			} else {
				w.judge(before, bulkHolds)
			}
			leave()
			w.left(before)
			w.beside()
		})
	}
}

func TestAnswersThatStayOpenHoldLittle(t *testing.T) {
	for _, way := range bulkWays {
		t.Run(way, func(t *testing.T) {
			w := newBulkWorld(t, way)
			w.beside()
			before := w.ask("collect")
			leave := w.readers(bulkReaders, "/open", 200_000)
			w.judge(before, bulkOpenHolds)
			w.beside()
			leave()
			w.left(before)
		})
	}
}

func TestSmallAnswersAreNotBehindReadersWhoReadAll(t *testing.T) {
	const readers = 50
	for _, way := range bulkWays {
		t.Run(way, func(t *testing.T) {
			w := newBulkWorld(t, way)
			var between []int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 40 {
					before := w.came.Load()
					if got := w.small(); got != "200 small" {
						t.Errorf("a small answer is %.200q, want 200", got)
						return
					}
					between = append(between, w.came.Load()-before)
				}
			}()
			leave := w.readers(readers, "/large", -1)
			<-done
			leave()
			if t.Failed() {
				return
			}
			slices.Sort(between)
			median := between[len(between)/2] / readers
			t.Logf("%d KiB for each reader come before a small answer, %d at most", median>>10, between[len(between)-1]/readers>>10)
			if median > bulkBetween {
				t.Errorf("%d KiB for each reader come before a small answer, want %d at most", median>>10, bulkBetween>>10)
			}
		})
	}
}
