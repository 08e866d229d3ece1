package bounds

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
)

// An answer whose handler fails midway must not look whole: it ends before its
// last chunk, or before its length is reached.
func TestAVisitorNoticesAnAnswerThatFailsMidway(t *testing.T) {
	t.Parallel()
	gateway := start(t, "as-gateway")
	// A killed program is missed after this time, in which a living one must have had time to run.
	missing := start(t, "as-gateway", "--acknowledge=15s")
	for _, how := range []string{"panics", "panics with ErrAbortHandler", "ends too early", "is killed"} {
		for _, sent := range []string{"in parts", "as it is"} {
			for _, framed := range []string{"in chunks", "with its length"} {
				if how == "ends too early" && framed == "in chunks" {
					continue // a clean end
				}
				t.Run(how+" "+sent+" "+framed, func(t *testing.T) {
					if how == "is killed" {
						t.Parallel() // it mostly waits
						cut(t, missing, how, sent, framed)
						return
					}
					cut(t, gateway, how, sent, framed)
				})
			}
		}
	}
}

func cut(t *testing.T, gateway *process, how, sent, framed string) {
	program := start(t, "as-program", gateway.at)
	fields := "How: " + how + "\r\nSent: " + sent + "\r\nFramed: " + framed + "\r\n"
	v := visit(t, program.at, "GET", "/fail", fields)
	resp, err := http.ReadResponse(v.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if chunked := resp.ContentLength < 0; resp.StatusCode != http.StatusOK || chunked != (framed == "in chunks") {
		t.Fatalf("status %d, length %d", resp.StatusCode, resp.ContentLength)
	}
	begin := make([]byte, failAfter(sent))
	if _, err := io.ReadFull(resp.Body, begin); err != nil || !bytes.Equal(begin[:16], noise[:16]) {
		t.Fatalf("the beginning is % x and %v, want % x", begin[:16], err, noise[:16])
	}
	if how == "is killed" {
		program.kill()
	} else {
		program.tell(order{Fail: true})
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes more and %v, want %v", n, err, io.ErrUnexpectedEOF)
	}
}

// failAfter is how many bytes a handler has sent when it waits for its order.
func failAfter(sent string) int {
	if sent == "in parts" {
		return 100
	}
	return 16 * piece
}

// fail answers in the way that the request asks for, and fails once told is closed.
func fail(w http.ResponseWriter, r *http.Request, told <-chan struct{}) {
	h := r.Header
	if h.Get("Framed") == "with its length" {
		w.Header().Set("Content-Length", "100000000")
	}
	for left := failAfter(h.Get("Sent")); left > 0; left -= piece {
		_, _ = w.Write(noise[:min(left, piece)])
	}
	w.(http.Flusher).Flush()
	<-told
	switch h.Get("How") {
	case "panics":
		panic("as the test says")
	case "panics with ErrAbortHandler":
		panic(http.ErrAbortHandler)
	}
}
