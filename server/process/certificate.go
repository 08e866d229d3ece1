package process

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is that of two files, read again when they change: certificates
// are renewed while the gateway runs.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex // guards below
	pair   *tls.Certificate
	state  string    // of the files, when pair was read
	looked time.Time // at them last
}

// lookEvery is how long a change of the files may go unseen.
const lookEvery = 10 * time.Second

// certificate reads the certificate of the flags; nil where there is none.
func (o *options) certificate(log *slog.Logger) (*certificate, error) {
	if o.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{cert: o.TLSCert, key: o.TLSKey, log: log}
	if err := c.read(); err != nil {
		return nil, o.wrong(fmt.Errorf("--tls-cert=%s --tls-key=%s: %w; give PEM files, one with the certificate and what it is signed with, one with its key", c.cert, c.key, err))
	}
	return c, nil
}

// get gives the certificate for a handshake. Files that are wrong, or half
// written, change nothing.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= lookEvery {
		if err := c.read(); err != nil {
			c.log.Warn("certificate not read again", "cert", c.cert, "key", c.key, "error", err.Error())
		}
	}
	return c.pair, nil
}

// reload reads the files now, if they changed.
func (c *certificate) reload() {
	c.mu.Lock()
	c.looked = time.Time{}
	c.mu.Unlock()
	_, _ = c.get(nil)
}

// read reads the files if they changed. The caller holds c.mu, or has c alone.
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
