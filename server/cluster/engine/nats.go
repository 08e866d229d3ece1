package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Connect connects a node to the engine on NATS JetStream, and makes its buckets if they are not
// there. It tries until ctx ends. It fails at once with [ErrOldServer], with [ErrNameTaken], and if
// the server refuses the credentials.
func Connect(ctx context.Context, o Options) (Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, o)
	if err != nil {
		return nil, err
	}
	b := buckets{
		claims: c.bucket(o.Bucket, jetstream.FileStorage, 0),
		nodes:  c.bucket(o.Bucket+"_nodes", jetstream.MemoryStorage, forgetTime),
		shared: c.bucket(o.Bucket+"_shared", jetstream.FileStorage, 0),
	}
	for _, one := range []bucket{b.claims, b.nodes, b.shared} {
		if err := c.make(ctx, one.(*natsBucket)); err != nil {
			c.close()
			return nil, err
		}
	}
	return join(ctx, o, b, c.close)
}

// Times of a connection.
const (
	dialTime      = 2 * time.Second        // for one server to answer
	retryTime     = 250 * time.Millisecond // between attempts, and up to twice that
	pingTime      = 3 * time.Second        // between pings; after three without an answer a server is given up
	heartbeatTime = 2 * time.Second        // between signs of life of what sends changes; without two in a row it is given up
)

// connection is a connection to the servers, which comes back by itself.
type connection struct {
	*nats.Conn
	js       jetstream.JetStream
	log      *slog.Logger
	replicas int

	mu   sync.Mutex    // guards what follows
	up   chan struct{} // closed while it is connected
	down chan struct{} // closed while it is not
}

// dial connects to one of the servers. It tries until ctx ends.
func dial(ctx context.Context, o Options) (*connection, error) {
	c := &connection{log: o.Log, replicas: o.Replicas, up: make(chan struct{}), down: make(chan struct{})}
	options := []nats.Option{
		nats.Name("reversehttp " + o.Node),
		nats.Timeout(dialTime), nats.MaxReconnects(-1), nats.ReconnectWait(retryTime), nats.ReconnectJitter(retryTime, retryTime),
		nats.PingInterval(pingTime), nats.MaxPingsOutstanding(2),
		nats.ReconnectBufSize(-1), // a change that cannot be sent is not made later
		nats.IgnoreAuthErrorAbort(),
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.disconnected(err) }),
		nats.ReconnectHandler(func(n *nats.Conn) { c.reconnected(n) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { o.Log.Warn("NATS reports an error", "error", err) }),
	}
	if o.Creds != "" {
		options = append(options, nats.UserCredentials(o.Creds))
	}
	urls := strings.Join(o.URLs, ",")
	for logged := false; ; logged = true {
		n, err := nats.Connect(urls, options...)
		switch {
		case err == nil:
			if err := isNew(n); err != nil {
				n.Close()
				return nil, err
			}
			c.Conn = n
			close(c.up)
			if c.js, err = jetstream.New(n, jetstream.WithDefaultTimeout(CallTime)); err != nil {
				n.Close()
				return nil, fmt.Errorf("engine: %w", err)
			}
			return c, nil
		case final(err):
			return nil, fmt.Errorf("engine: NATS at %s: %w", urls, err)
		case !logged:
			o.Log.Warn("no NATS server answers yet", "urls", urls, "error", err)
		}
		if sleep(ctx, retryTime) != nil {
			return nil, fmt.Errorf("engine: no NATS server answers at %s: %w", urls, err)
		}
	}
}

// final reports whether connecting again is of no use: the operator has to change something.
func final(err error) bool {
	for _, one := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrSecureConnRequired, nats.ErrSecureConnWanted, fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(err, one) {
			return true
		}
	}
	return errors.As(err, new(*url.Error)) || errors.As(err, new(*tls.CertificateVerificationError))
}

// isNew returns [ErrOldServer], with what is wrong, unless the server is recent enough.
func isNew(n *nats.Conn) error {
	version := n.ConnectedServerVersion()
	if atLeast(version, 2, 11) {
		return nil
	}
	return fmt.Errorf("%w: the one at %s has version %s, and 2.11 is needed; before 2.9.21 several nodes may win the same change of a claim (nats-server#4320), and before 2.11 what is left of deleted claims stays for ever", ErrOldServer, n.ConnectedUrlRedacted(), version)
}

// atLeast reports whether a version is this one or later. One that cannot be read is not.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, err := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err == nil && err2 == nil && (a > major || a == major && b >= minor)
}

func (c *connection) disconnected(err error) {
	c.log.Warn("the connection to NATS is lost", "error", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.down)
	c.up = make(chan struct{})
}

func (c *connection) reconnected(n *nats.Conn) {
	if err := isNew(n); err != nil {
		c.log.Error("connected again, to a server that is too old", "error", err)
	} else {
		c.log.Info("connected to NATS again", "url", n.ConnectedUrlRedacted())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.up)
	c.down = make(chan struct{})
}

// whenUp waits until there is a connection, and returns a channel that is closed when it is lost.
func (c *connection) whenUp(ctx context.Context) (<-chan struct{}, error) {
	c.mu.Lock()
	up := c.up
	c.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down, nil
}

func (c *connection) close() { c.Close() }

// bucket returns the bucket of a name, which make makes.
func (c *connection) bucket(name string, storage jetstream.StorageType, age time.Duration) *natsBucket {
	return &natsBucket{connection: c, name: name, storage: storage, age: age}
}

// make makes a bucket. It tries until ctx ends: servers that have just started may need some
// seconds to agree on a leader.
func (c *connection) make(ctx context.Context, b *natsBucket) error {
	pause := retryTime
	for logged := false; ; logged = true {
		call, cancel := bounded(ctx)
		_, err := b.open(call)
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return fmt.Errorf("engine: the NATS server needs JetStream (nats-server -js): %w", err)
		case errors.As(err, new(wrongBucket)):
			return err
		case !logged:
			c.log.Info("waiting for NATS to have a bucket", "bucket", b.name, "error", err)
		}
		if sleep(ctx, pause) != nil {
			return fmt.Errorf("engine: NATS has no bucket %s, and cannot make it: %w", b.name, err)
		}
		pause = min(2*pause, CallTime)
	}
}

// wrongBucket says that a bucket is not one of an engine.
type wrongBucket struct{ name, why string }

func (w wrongBucket) Error() string {
	return fmt.Sprintf("engine: the NATS bucket %s was not made by a gateway: %s; choose another name, or delete it", w.name, w.why)
}

// several is how many servers make a cluster that survives the loss of one.
const several = 3

// replicasNow returns on how many servers a bucket that is made now is.
func (c *connection) replicasNow() int {
	switch {
	case c.replicas > 0:
		return c.replicas
	case c.ConnectedClusterName() != "" && len(c.Servers()) >= several:
		return several
	}
	return 1
}
