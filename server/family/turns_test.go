package family

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// turns returns programs that keep a number of connections turned, in one way.
func turns(n int, way string) func(*town, http.Handler) {
	return func(w *town, h http.Handler) {
		origin := url.QueryEscape(strings.TrimSuffix(w.Public().Base("demo"), "/"))
		head := map[string]string{
			"ptth":       "POST /ptth/demo HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n",
			"device":     "POST /demo HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n",
			"ptth-h2":    "GET /.well-known/ptth/" + origin + "/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n",
			"ptth-http1": "GET /.well-known/ptth/" + origin + "/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: http%2F1.1\r\n",
			"reverse-h2": "GET /.well-known/ptth/" + origin + "/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: reverse\r\nALPN: h2\r\n",
		}[way]
		var sealed func() (net.Conn, error)
		if way == "rh1" || way == "rh2" {
			sealed, h = w.sealed(way), claims(h)
		}
		w.keep(n, h, func(ctx context.Context) (net.Conn, error) {
			if sealed != nil {
				return sealed()
			}
			if way == "connect-h2" {
				c, resp, err := w.extend("ptth", w.Public().Control+".well-known/ptth/"+origin+"/", http.Header{"Authorization": {"Bearer t0"}, "Alpn": {"h2"}})
				if err == nil && resp.StatusCode != http.StatusOK {
					err = fmt.Errorf("status %d", resp.StatusCode)
				}
				return c, err
			}
			return w.dialTurned(ctx, head+"Host: {host}\r\nAuthorization: Bearer t0\r\n\r\n")
		})
	}
}

// claims names the purpose of a connection that begins turned.
func claims(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL == nil || r.URL.Path != claimPath:
			h.ServeHTTP(w, r)
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"label":"demo","token":"t0"}`)
		}
	})
}

// keep makes a program serve n connections at a time, and replace each one that ends.
func (w *town) keep(n int, h http.Handler, dial func(context.Context) (net.Conn, error)) {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: p, DisableGeneralOptionsHandler: true}
	w.runs(func(ctx context.Context, running *sync.WaitGroup) {
		defer context.AfterFunc(ctx, func() { _ = s.Close() })()
		var loops sync.WaitGroup
		defer loops.Wait()
		for range n {
			loops.Go(func() {
				for ctx.Err() == nil {
					c, err := dial(ctx)
					if err != nil {
						if ctx.Err() == nil {
							w.t.Errorf("turning a connection: %v", err)
						}
						return
					}
					ends := &ending{Conn: c, end: make(chan struct{})}
					stop := context.AfterFunc(ctx, func() { _ = ends.Close() })
					l := listenOn(ends)
					running.Go(func() { _ = s.Serve(l) })
					<-ends.end
					_ = l.Close()
					stop()
				}
			})
		}
	})
	waitFor(w.t, func() bool { return w.Registry().Stats().Polls == n })
}

// ending is a connection that reports when it was closed.
type ending struct {
	net.Conn
	once sync.Once
	end  chan struct{}
}

func (c *ending) Close() error {
	defer c.once.Do(func() { close(c.end) })
	return c.Conn.Close()
}

// dialTurned sends head, again after each 204, and returns the connection after 101.
func (w *town) dialTurned(ctx context.Context, head string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	in := bufio.NewReader(c)
	for {
		_, _ = io.WriteString(c, strings.ReplaceAll(head, "{host}", w.host()))
		resp, err := http.ReadResponse(in, nil)
		switch {
		case err != nil:
			_ = c.Close()
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			stop()
			return &buffered{c, in}, nil
		case resp.StatusCode != http.StatusNoContent:
			_ = c.Close()
			return nil, fmt.Errorf("status %d", resp.StatusCode)
		}
	}
}
