package process

import (
	"bufio"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestUnexpectedBytesOfAProgramAreNotLogged(t *testing.T) {
	logged := &lockedBuffer{}
	was := stdlog.Writer()
	stdlog.SetOutput(logged)
	t.Cleanup(func() { stdlog.SetOutput(was) })
	p := start(t)
	u, err := url.Parse(p.console)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(text string) (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", "127.0.0.1:"+u.Port())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(c, text)
		return c, bufio.NewReader(c)
	}
	c, in := dial("POST /ptth/demo HTTP/1.1\r\nHost: " + u.Host + "\r\nAuthorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%+v %v, want 101", resp, err)
	}
	_, _ = dial(fmt.Sprintf("GET / HTTP/1.1\r\nHost: demo.localhost:%s\r\n\r\n", u.Port()))
	if _, err := http.ReadRequest(in); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\nsecret")
	if _, err := io.Copy(io.Discard, in); err != nil { // the gateway hangs up
		t.Fatal(err)
	}
	if strings.Contains(logged.String()+p.log.String(), "secret") {
		t.Errorf("the log has content: %s%s", logged, p.log)
	}
}
