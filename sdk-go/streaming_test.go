package reversehttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// writeUntilItFails writes and flushes until that fails, and returns how much was written.
func writeUntilItFails(w http.ResponseWriter, size int, pause time.Duration) (n int, err error) {
	c := http.NewResponseController(w)
	for err == nil {
		var some int
		some, err = w.Write(make([]byte, size))
		n += some
		if err == nil {
			err = c.Flush()
		}
		time.Sleep(pause)
	}
	return n, err
}

func TestWritesFailWhenTheVisitorHasLeft(t *testing.T) { overEach(t, writesFailWhenTheVisitorHasLeft) }

func writesFailWhenTheVisitorHasLeft(t *testing.T) {
	for _, size := range []int{100, 300_000} { // in parts, and directly
		inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
			ended := make(chan error, 1)
			var cause error
			s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
				_, err := writeUntilItFails(w, size, time.Second)
				cause = context.Cause(r.Context())
				ended <- err
			})
			resp, err := client.Get(demo)
			if err != nil {
				t.Fatal(err)
			}
			io.ReadFull(resp.Body, make([]byte, 2*size))
			resp.Body.Close()
			start := time.Now()
			if err := <-ended; err != cause || time.Since(start) > 5*time.Second {
				t.Errorf("size %d: Write = %v after %v, want the cause of the context, %v, at once", size, err, time.Since(start), cause)
			}
			if !isLeaving(cause) {
				t.Errorf("size %d: cause = %v, want that the visitor left", size, cause)
			}
			s.Close()
			served()
		})
	}
}

// isLeaving reports whether a cause is that the visitor left. A cancellation means that, and so does the
// result of a sent message; either may come first.
func isLeaving(cause error) bool {
	s := cause.Error()
	return s == "reversehttp: the visitor left" || s == "reversehttp: the gateway takes the answer no more"
}

func TestAQuietHandlerLearnsThatTheVisitorLeft(t *testing.T) {
	overEach(t, aQuietHandlerLearnsThatTheVisitorLeft)
}

func aQuietHandlerLearnsThatTheVisitorLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		ended := make(chan error, 1)
		s, served := begin(t, client, reversehttp.Options{Timeout: time.Second}, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		})
		resp, err := client.Get(demo)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		select {
		case err := <-ended:
			t.Errorf("the context ended while the visitor was there: %v", err)
		default:
		}
		resp.Body.Close()
		if got := <-ended; !isLeaving(got) {
			t.Errorf("cause = %v, want that the visitor left", got)
		}
		s.Close()
		served()
	})
}

// A visitor who does not read holds the handler, however much content it has.
func TestWritesWaitForASlowVisitor(t *testing.T) { overEach(t, writesWaitForASlowVisitor) }

func writesWaitForASlowVisitor(t *testing.T) {
	for _, size := range []int{4_000, 300_000} {
		inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
			var written atomic.Int64
			s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
				for {
					n, err := w.Write(make([]byte, size))
					written.Add(int64(n))
					if err != nil {
						return
					}
					w.(http.Flusher).Flush()
				}
			})
			resp, err := client.Get(demo)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			before := written.Load()
			if before > 1<<20+256<<10 { // the window of a link, and buffered content
				t.Errorf("size %d: %d bytes were written and nobody read", size, before)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, 5<<20)); err != nil {
				t.Errorf("size %d: %v", size, err)
			}
			time.Sleep(10 * time.Second)
			if more := written.Load() - before; more < 4<<20 || more > 7<<20 {
				t.Errorf("size %d: %d bytes were written while 5 MiB were read", size, more)
			}
			resp.Body.Close()
			s.Close()
			served()
		})
	}
}

func TestAWriteDeadlineBreaksAStreamThatWaits(t *testing.T) {
	overEach(t, aWriteDeadlineBreaksAStreamThatWaits)
}

func aWriteDeadlineBreaksAStreamThatWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		ended := make(chan error, 1)
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			for {
				c.SetWriteDeadline(time.Now().Add(3 * time.Second))
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					ended <- err
					return
				}
				c.Flush()
			}
		})
		start := time.Now()
		resp, err := client.Get(demo)
		if err != nil {
			t.Fatal(err)
		}
		err = <-ended
		if took := time.Since(start).Round(time.Second); !errors.Is(err, os.ErrDeadlineExceeded) || took != 3*time.Second {
			t.Errorf("Write = %v after %v, want ErrDeadlineExceeded after 3s", err, took)
		}
		if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the visitor read %v, want that the answer is cut short", err)
		}
		resp.Body.Close()
		s.Close()
		served()
	})
}

func TestAnUploadThatIsCutShortFailsTheHandlersRead(t *testing.T) {
	overEach(t, anUploadThatIsCutShortFailsTheHandlersRead)
}

func anUploadThatIsCutShortFailsTheHandlersRead(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		type outcome struct {
			n   int64
			err error
		}
		ended := make(chan outcome, 1)
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			ended <- outcome{n, err}
		})
		in, out := io.Pipe()
		go func() {
			out.Write(make([]byte, 100_000))
			time.Sleep(time.Second)
			out.CloseWithError(errors.New("the visitor's disk broke"))
		}()
		req, _ := http.NewRequest("POST", demo, in)
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
		if got := <-ended; got.n != 100_000 || got.err == nil {
			t.Errorf("read %d bytes, %v; want 100000 and an error", got.n, got.err)
		}
		time.Sleep(time.Second) // net/http closes the visitor's connection slowly
		s.Close()
		served()
	})
}

func TestALostSessionEndsItsStreams(t *testing.T) {
	for _, size := range []int{100, 300_000} {
		inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
			cut := &cutter{base: client.Transport}
			ended := make(chan error, 1)
			s, served := begin(t, &http.Client{Transport: cut}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.Write(make([]byte, size))
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				_, err := w.Write([]byte("more"))
				ended <- err
			})
			resp, err := client.Get(demo)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			cut.cut(true)
			time.Sleep(15 * time.Second) // the gateway counts the session as lost
			cut.cut(false)
			if n, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("size %d: the visitor read %d bytes, %v; want that the answer is cut short", size, n, err)
			}
			resp.Body.Close()
			if err := <-ended; err == nil {
				t.Errorf("size %d: Write after the session was lost succeeded", size)
			}
			check(t, visitURL(client, "GET", "http://none.gateway.test/"), "404")
			s.Close()
			served()
		})
	}
}

func TestShutdownLetsAStreamEndAndCloseCutsIt(t *testing.T) {
	overEach(t, shutdownLetsAStreamEndAndCloseCutsIt)
}

func shutdownLetsAStreamEndAndCloseCutsIt(t *testing.T) {
	for _, shut := range []bool{true, false} {
		inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
			s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
				for range 30 {
					io.WriteString(w, ".")
					w.(http.Flusher).Flush()
					select {
					case <-time.After(time.Second):
					case <-r.Context().Done():
						return
					}
				}
			})
			v := visitURL(client, "GET", demo)
			time.Sleep(5500 * time.Millisecond)
			if shut {
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				check(t, v, "200 "+strings.Repeat(".", 30))
			} else {
				s.Close()
				check(t, v, "200 ...... unexpected EOF")
			}
			served()
		})
	}
}
