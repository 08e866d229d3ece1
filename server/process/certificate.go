package process

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a certificate in two files. It reads them again when they change, since
// certificates are renewed while the gateway runs.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex // guards the fields below
	pair   *tls.Certificate
	state  string    // of the files when pair was read
	looked time.Time // when the files were last checked
}

// lookEvery is the interval at which the files are checked for changes.
const lookEvery = 10 * time.Second

// certificate reads the certificate in the flags. It returns nil if there is none.
func (o *options) certificate(log *slog.Logger) (*certificate, error) {
	if o.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{cert: o.TLSCert, key: o.TLSKey, log: log}
	if err := c.read(); err != nil {
		return nil, o.wrong(fmt.Errorf("--tls-cert=%s --tls-key=%s: %w; use PEM files, one with the certificate and its chain, one with its key", c.cert, c.key, err))
	}
	return c, nil
}

// get returns the certificate for a handshake. Invalid or half-written files change nothing.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= lookEvery {
		if err := c.read(); err != nil {
			c.log.Warn("cannot read the certificate again; keeping the previous one", "cert", c.cert, "key", c.key, "error", err.Error())
		}
	}
	return c.pair, nil
}

// reload reads the files now if they changed.
func (c *certificate) reload() {
	c.mu.Lock()
	c.looked = time.Time{}
	c.mu.Unlock()
	_, _ = c.get(nil)
}

// read reads the files if they changed. The caller holds c.mu or is the only one with access to c.
func (c *certificate) read() error {
	c.looked = time.Now()
	state := ""
	for _, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		state += fmt.Sprintln(info.ModTime().UnixNano(), info.Size())
	}
	if state == c.state {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.pair, c.state = &pair, state
	c.log.Info("certificate read", "names", pair.Leaf.DNSNames, "until", pair.Leaf.NotAfter)
	return nil
}
