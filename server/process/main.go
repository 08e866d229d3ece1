// Package process runs a gateway as a process: flags, files, ports, signals and exit codes. The
// command server and the subcommand reversehttp gateway both call it.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"

	"reversehttp/server/audit"
	"reversehttp/server/claim"
	"reversehttp/server/gateway"
	"reversehttp/server/store"
	"reversehttp/server/trust"
	"reversehttp/server/wire"
	"reversehttp/web"
)

// Main runs a gateway with args until a signal stops it, and returns the exit code of the process.
// name is the program's name in the help.
func Main(name string, args []string) int {
	o, err := parse(args, kong.Name(name))
	if err == nil {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		err = run(o, signals, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reversehttp:", err)
	}
	return exitCode(err)
}

// Flags returns the flags of a gateway, for completions and manual pages.
func Flags() ([]*kong.Flag, error) {
	k, err := parser(&options{}, nil)
	if err != nil {
		return nil, err
	}
	return k.Model.Flags, nil
}

// exitCode returns the exit code of the process. README.md lists the codes.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong{}):
		return 2
	}
	return 1
}

// run serves until a signal. The first stops it gently, the second at once. SIGHUP does not stop
// it, but makes it read the certificate and accounts again.
func run(o *options, signals <-chan os.Signal, stdout, stderr io.Writer) error {
	log := o.logger(stderr)
	// net/http logs unsolicited bytes of programs there, which may be content.
	stdlog.SetOutput(io.Discard)
	o.warnOfOpenFiles(log)
	seal := &sealed{}
	var err error
	if seal.files, err = o.certificate(log); err != nil {
		return err
	}
	if err := o.openAccounts(log); err != nil {
		return err
	}
	l, err := listen(o.Listen)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	plain, err := o.listenHTTP()
	if err != nil {
		return err
	}
	defer plain.stop(o.lastWrites)
	settings, err := o.gateway(l.Addr().(*net.TCPAddr), log)
	if err != nil {
		return err
	}
	settings.ClosePort = func() {
		seal.stop()
		plain.close()
		wire.StopAccepting(l)
	}
	if settings.Pages, err = web.Pages(); err != nil {
		return err
	}
	if settings.Audit, err = openLog("--audit-log", o.AuditLog, log); err != nil {
		return err
	}
	defer settings.Audit.Close() // after everything that writes to it
	if settings.AbuseLog, err = openLog("--abuse-log", o.AbuseLog, log); err != nil {
		return err
	}
	defer settings.AbuseLog.Close()
	limitMemory(o.memory())
	dropBallast(o.memory())
	others, err := join(o, &settings, log)
	if err != nil {
		return err
	}
	defer others.close() // after the gateway has stopped
	g, err := newGateway(o, settings, log)
	if err != nil {
		return err
	}
	defer g.close()
	operator, err := o.openAdmin()
	if err != nil {
		return err
	}
	defer operator.close() // after the gateway has stopped, so that metrics stay available until then
	if seal.managed, err = o.manage(g.Gateway, l.Addr().(*net.TCPAddr), plain.at(), log); err != nil {
		return err
	}
	defer seal.close()
	if err := o.checkPublic(g.Gateway, log); err != nil {
		return err
	}
	operator.serve(g.Admin, log)
	server := g.Server()
	server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	if o.ProxyProtocol {
		l = wire.Proxied(l, trust.Peers{Proxies: settings.TrustedProxies}.TrustsPeer, o.FieldTime)
	}
	if l = g.Limit(l); seal.config() != nil {
		l = g.ListenTLS(l, seal.config(), seal.protocols(g.ALPN()))
	} else {
		l = wire.Listen(l)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	plain.start(g.Gateway, seal.challenge, log)
	seal.start()
	others.start(g.Gateway)
	_, _ = fmt.Fprintf(stdout, "ReverseHttp console: %s  public URLs: %s\n", g.Public().Control, g.Public().String())
	log.Info("serving", "listen", l.Addr().String(), "console", g.Public().Control, "public_url", g.Public().String(), "memory", humanize.IBytes(uint64(o.memory())))

	for running := true; running; {
		select {
		case err := <-served:
			return err
		case <-others.replaced():
			return errors.New("another process has the name of this node; give each node its own with --node")
		case s := <-signals:
			if running = s == syscall.SIGHUP; !running {
				log.Info("stopping", "signal", s.String(), "again", "stops at once")
				break
			}
			g.LookAtAccounts()
			settings.Audit.Reopen()
			settings.AbuseLog.Reopen()
			log.Info("checked certificate and accounts for changes; flags and --config need a restart", "signal", s.String())
			seal.reload()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		until := time.Now().Add(o.Drain)
		g.Drain(ctx)
		// Accepted clients are still answered, and their answers may take as long as those in
		// progress.
		_ = l.Close()
		<-served
		server.SetKeepAlivesEnabled(false)
		soon := time.Now().Add(o.lastWrites)
		settle, cancel := context.WithDeadline(ctx, soon)
		g.Settle(settle)
		cancel()
		if until.Before(soon) {
			until = soon
		}
		end, cancel := context.WithDeadline(ctx, until)
		var settling sync.WaitGroup
		settling.Go(func() {
			g.Settle(end)
			cancel() // Shutdown waits 5 s for a connection on which no byte ever came
		})
		_ = server.Shutdown(end)
		cancel()
		settling.Wait()
	}()
	for stopping := true; stopping; {
		select {
		case <-stopped:
			stopping = false
		case s := <-signals:
			if stopping = s == syscall.SIGHUP; !stopping {
				log.Warn("stopped at once", "signal", s.String())
			}
		}
	}
	cancel()
	_ = server.Close()
	<-stopped
	log.Info("stopped")
	return nil
}

// checkPublic warns if visitors cannot reach the gateway as its flags say, or if claims can set
// cookies for each other. With --require-public-suffix the latter is an error.
func (o *options) checkPublic(g *gateway.Gateway, log *slog.Logger) error {
	public := g.Public()
	if !strings.HasPrefix(public.String(), o.scheme()+":") {
		log.Info("the port does not speak the scheme of public URLs: a proxy must", "port", o.scheme(), "public_url", public.String())
	}
	if g.Anonymous() {
		log.Warn("all visitors share one address, so no limit by address applies: name the proxy in front of this gateway in --trusted-proxies", "listen", o.Listen, "public_url", public.String())
	}
	switch {
	case g.Local() || !public.SharesCookies():
	case o.RequireSuffix:
		return o.wrong(fmt.Errorf("--require-public-suffix: %s is not on the Public Suffix List, so a page of one claim could set cookies for all; have it listed (https://publicsuffix.org/submit/), or use paths for claims", public.ControlHost))
	default:
		log.Warn("a page of one claim can set cookies for all: their parent domain is not on the Public Suffix List", "domain", public.ControlHost, "do", "use a domain that serves nothing else, and have it listed at https://publicsuffix.org/submit/")
	}
	return nil
}

// openLog opens the file in a flag for appending lines. It returns nil if the flag is empty.
func openLog(flag, path string, log *slog.Logger) (*audit.Log, error) {
	if path == "" {
		return nil, nil
	}
	l, err := audit.Open(path, log)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w; choose a file that this user may write", flag, path, err)
	}
	return l, nil
}

// running is a gateway with its store, if any.
type running struct {
	*gateway.Gateway
	store *store.Store
}

func newGateway(o *options, settings gateway.Options, log *slog.Logger) (*running, error) {
	r := &running{}
	if o.Data != "" {
		s, err := store.Open(o.Data, log)
		if err != nil {
			return nil, err
		}
		r.store, settings.Records, settings.Withdrawn = s, s, s
		if settings.DomainSecret, err = s.Secret("domains"); err != nil {
			r.close()
			return nil, err
		}
		if settings.Kept, err = s.Records(); err != nil {
			r.close()
			return nil, err
		}
		settings.Quotas.Keeper = s
		if settings.Quotas.Kept, err = s.Usage(); err != nil {
			r.close()
			return nil, err
		}
	}
	g, err := gateway.New(settings)
	if err != nil {
		r.close()
		return nil, o.wrong(err)
	}
	r.Gateway = g
	if r.store != nil {
		g.Admin.Backup = r.store.Backup
	}
	for label, token := range settings.Owned {
		if !g.Local() && len(token) < claim.ShortestToken {
			log.Warn("the token of a device is short, so strangers could guess it", "label", label, "do", "set a long random one with --family-device; make one with openssl rand -hex 16")
		}
	}
	if r.store != nil {
		for label, token := range settings.Owned {
			if c := g.Registry().Lookup(label); c != nil && !c.Owns(token) {
				log.Warn("a device cannot serve its label, which is reserved for another token until its lease ends", "label", label)
			}
		}
		log.Info("claims restored", "count", g.Registry().Stats().Claims, "data", o.Data)
	}
	return r, nil
}

func (r *running) close() {
	if r.Gateway != nil {
		r.Close()
	}
	if r.store != nil {
		r.store.Close()
	}
}

// explainListen returns an error that says what to do if listening on an address failed.
func explainListen(address string, err error) error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("listen on %s: cannot resolve the host %s; use an address of this machine, or none for all of them, as in --listen :8080", address, dns.Name)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: the port is in use; stop the program that uses it, or choose another with --listen 127.0.0.1:8081", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s: this machine does not have the address; use one that it has, or none for all of them, as in --listen :8080", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: not permitted; choose a port above 1023, or run with permission to use this one", address)
	}
	return fmt.Errorf("listen on %s: %w; choose another address with --listen 127.0.0.1:8081", address, err)
}
