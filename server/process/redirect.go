package process

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"reversehttp/server/gateway"
	"reversehttp/server/wire"
)

// redirects is the port for http: URLs in addition to a port that speaks TLS. It redirects visitors
// to that port, and answers the CA.
type redirects struct {
	listener net.Listener
	port     *wire.Port
	server   *http.Server
	served   chan struct{}
}

// listenHTTP opens the port of --http-listen, which serves after start. It returns nil if there is
// none.
func (o *options) listenHTTP() (*redirects, error) {
	if o.HTTPListen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", o.HTTPListen)
	if err != nil {
		return nil, explainListen(o.HTTPListen, err)
	}
	return &redirects{listener: l}, nil
}

// at returns the port number, or 0.
func (r *redirects) at() int {
	if r == nil {
		return 0
	}
	return r.listener.Addr().(*net.TCPAddr).Port
}

// start starts serving.
func (r *redirects) start(g *gateway.Gateway, challenge func(http.ResponseWriter, *http.Request) bool, log *slog.Logger) {
	if r == nil {
		return
	}
	r.port = gateway.NewRedirectPort(g, challenge)
	r.server = r.port.Server()
	r.server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	r.listener = wire.Listen(r.port.Limit(r.listener))
	r.served = make(chan struct{})
	go func() {
		defer close(r.served)
		_ = r.server.Serve(r.listener)
	}()
	log.Info("redirecting", "listen", r.listener.Addr().String())
}

// close closes the port. Accepted clients are still answered.
func (r *redirects) close() {
	if r != nil && r.server != nil {
		wire.StopAccepting(r.listener)
	}
}

// stop ends what close leaves open. Accepted clients are still answered, within a time.
func (r *redirects) stop(within time.Duration) {
	if r == nil {
		return
	}
	if r.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		_ = r.server.Shutdown(ctx)
		_ = r.server.Close()
		<-r.served
		r.port.Close()
	}
	_ = r.listener.Close()
}
