package faults

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"reversehttp/schema"
)

// end is how a visit ended.
type end string

// The ends. The last two are faults.
const (
	answered   end = "answered"   // with exactly the content that was asked for
	refused    end = "refused"    // by the gateway, with a code
	cutShort   end = "cut short"  // a streamed answer that the gateway broke off visibly
	broken     end = "broken"     // a connection that a proxy broke
	unreached  end = "unreached"  // a connection that was refused, or whose gateway died
	unanswered end = "unanswered" // before patience ran out
	wrong      end = "wrong"      // anything else
)

// outcome is what a visitor saw.
type outcome struct {
	end    end
	run    string // the run of the handler that answered
	status int
	code   schema.Code // if the gateway answered
	handed string      // ?0, ?1 or empty
	why    string
	since  time.Time
	took   time.Duration
	// hurt reports whether a proxy broke the connection, perhaps after the answer.
	hurt bool
}

// visitor sends one request after the other, on the same connection as long as it can be reused. It never repeats a
// request.
type visitor struct {
	host string // of the public URL
	// dial opens a connection, and returns the proxy's link if there is a proxy.
	dial func() (net.Conn, *link, error)
	// fresh makes each visit dial.
	fresh bool

	conn   net.Conn
	link   *link
	reader *bufio.Reader
}

// visit sends the request of x and checks its answer.
func (v *visitor) visit(x *exchange) (o outcome) {
	since := time.Now()
	defer func() { o.since, o.took = since, time.Since(since) }()
	if v.conn == nil {
		c, l, err := v.dial()
		if err != nil {
			return outcome{end: unreached, why: err.Error()}
		}
		v.conn, v.link, v.reader = c, l, bufio.NewReader(c)
	}
	_ = v.conn.SetDeadline(since.Add(patience))
	var writing sync.WaitGroup
	sent, to := make(chan error, 1), v.conn
	writing.Go(func() { sent <- x.request(v.host, v.fresh).Write(to) })
	o, again := v.receive(x)
	o.hurt = v.link != nil && v.link.hurt.Load()
	// The gateway may close the connection without notice if content was too long for the envelope, or if the answer
	// came before the content. So only other connections are used again.
	if again && !v.fresh && !x.chunked && x.size <= 64<<10 && <-sent == nil {
		return o
	}
	v.leave()
	writing.Wait()
	return o
}

// leave closes the connection.
func (v *visitor) leave() {
	if v.conn != nil {
		_ = v.conn.Close()
		v.conn, v.link = nil, nil
	}
}

// request returns a new request for x.
func (x *exchange) request(host string, last bool) *http.Request {
	var body io.Reader
	if x.size > 0 || x.method == http.MethodPost {
		body = bytes.NewReader(x.content())
	}
	if x.chunked {
		body = io.MultiReader(bytes.NewReader(x.content())) // hides its length from net/http
	}
	r, err := http.NewRequest(x.method, "http://"+host+"/"+x.key, body)
	if err != nil {
		panic(err)
	}
	r.Close = last
	if x.chunked {
		r.ContentLength = -1
	}
	r.Header = http.Header{
		fieldKey: {x.key}, fieldShape: {string(x.want.shape)}, fieldSize: {strconv.Itoa(x.want.size)},
		fieldText: {strconv.FormatBool(x.text)}, "Content-Type": {"application/octet-stream"},
	}
	return r
}

// receive reads a response, and reports whether another may follow on the connection.
func (v *visitor) receive(x *exchange) (o outcome, again bool) {
	resp, err := http.ReadResponse(v.reader, &http.Request{Method: x.method})
	if err != nil {
		return v.failed(err), false
	}
	content, err := io.ReadAll(resp.Body)
	o = x.judge(resp, content, err)
	if err != nil && o.end != wrong {
		short := v.failed(err)
		switch {
		// The connection ended, or was reset because the gateway had not read the whole request.
		case short.end == wrong && o.end == answered && x.want.streams():
			o.end, o.why = cutShort, ""
		case short.end == wrong:
			o.end, o.why = wrong, fmt.Sprintf("%v after %d bytes of the answer", err, len(content))
		default:
			o.end, o.why = short.end, short.why
		}
	}
	return o, err == nil && !resp.Close
}

// failed returns the outcome for an error on the connection.
func (v *visitor) failed(err error) outcome {
	o := outcome{end: wrong, why: fmt.Sprintf("%v on a connection that no proxy harmed", err)}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.end = unanswered
	case v.link == nil:
		o.end = unreached
	case v.link.hurt.Load():
		o.end, o.why = broken, ""
	}
	return o
}

// judge compares an answer, or the part of it that came before err, with the expected one.
func (x *exchange) judge(resp *http.Response, content []byte, err error) outcome {
	o := outcome{end: wrong, status: resp.StatusCode}
	if status := resp.Header.Get("Proxy-Status"); status != "" {
		var p schema.Problem
		if err == nil && json.Unmarshal(content, &p) != nil {
			o.why = fmt.Sprintf("an invalid problem: %.200q", content)
			return o
		}
		o.end, o.code = refused, p.Code
		if _, handed, ok := strings.Cut(status, "; handed="); ok {
			o.handed = handed
		}
		return o
	}
	h := resp.Header
	o.run = h.Get(fieldRun)
	whole := contentOf(x.key+" "+o.run, x.want.size, x.text)
	sum := x.sum
	if x.want.shape == early {
		sum = ""
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		o.why = fmt.Sprintf("status %d: %.200q", resp.StatusCode, content)
	case !slices.Equal(h.Values(fieldKey), []string{x.key}):
		o.why = fmt.Sprintf("the answer to %q", h.Values(fieldKey))
	case h.Get(fieldRead) != sum:
		o.why = fmt.Sprintf("the handler read content with the hash %s, want %s", h.Get(fieldRead), sum)
	case !bytes.HasPrefix(whole, content), err == nil && len(content) != len(whole):
		o.why = fmt.Sprintf("%d bytes, which differ from the expected %d", len(content), len(whole))
	default:
		o.end = answered
	}
	return o
}
