// Package store keeps who owns which label beyond the process, in a key-value
// bucket of NATS JetStream that runs inside it.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"reversehttp/server/claim"
)

// Store is a directory with claims in it. It is a [claim.Store].
type Store struct {
	log    *slog.Logger
	server *server.Server
	conn   *nats.Conn
	bucket jetstream.KeyValue
}

// patience bounds one call of the bucket.
const patience = 5 * time.Second

// Open opens the store of a directory, which it makes where it is missing. Its
// error says what to do.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if err := writable(dir); err != nil {
		return nil, fmt.Errorf("--data=%s: cannot be written to (%w); choose a directory that this user may write", dir, err)
	}
	s := &Store{log: log}
	if err := s.start(dir); err != nil {
		s.Close()
		return nil, fmt.Errorf("--data=%s: %w", dir, err)
	}
	return s, nil
}

// writable makes dir and tries whether files can be made in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "try-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (s *Store) start(dir string) (err error) {
	s.server, err = server.NewServer(&server.Options{
		ServerName: "reversehttp", DontListen: true, JetStream: true, StoreDir: filepath.Clean(dir), NoSigs: true, NoLog: true,
		SyncAlways: true,
	})
	if err != nil {
		return err
	}
	s.server.Start()
	if !s.server.ReadyForConnections(patience) {
		return errors.New("the store did not start in time; is another gateway using this directory?")
	}
	if s.conn, err = nats.Connect("", nats.InProcessServer(s.server)); err != nil {
		return err
	}
	stream, err := jetstream.New(s.conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.bucket, err = stream.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "claims", Description: "who owns which label", History: 1})
	return err
}

// record is a claim in the bucket, under its label.
type record struct {
	Token     []byte `json:"token"` // SHA-256
	LeaseMs   int64  `json:"leaseMs"`
	TimeoutMs int64  `json:"timeoutMs"`
	Redeliver string `json:"redeliver"`
}

// Records gives every claim that is kept.
func (s *Store) Records() ([]claim.Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	watch, err := s.bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer func() { _ = watch.Stop() }()
	var out []claim.Record
	for entry := range watch.Updates() {
		if entry == nil { // all that was there has come
			return out, nil
		}
		var r record
		if err := json.Unmarshal(entry.Value(), &r); err != nil || len(r.Token) != len(claim.TokenHash{}) {
			s.log.Warn("claim in the store is unreadable, left out", "label", entry.Key())
			continue
		}
		out = append(out, claim.Record{
			Label: entry.Key(), Token: claim.TokenHash(r.Token), Lease: time.Duration(r.LeaseMs) * time.Millisecond,
			Timeout: time.Duration(r.TimeoutMs) * time.Millisecond, Redeliver: claim.Redeliver(r.Redeliver),
		})
	}
	return nil, errors.New("store: the claims did not come in time")
}

// Save keeps a claim.
func (s *Store) Save(c claim.Record) {
	value, err := json.Marshal(record{c.Token[:], c.Lease.Milliseconds(), c.Timeout.Milliseconds(), string(c.Redeliver)})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err = s.bucket.Put(ctx, c.Label, value)
	}
	if err != nil {
		s.log.Warn("claim not stored", "label", c.Label, "error", err)
	}
}

// Remove forgets a claim.
func (s *Store) Remove(label string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.bucket.Purge(ctx, label); err != nil {
		s.log.Warn("claim not removed from the store", "label", label, "error", err)
	}
}

// Close ends the store.
func (s *Store) Close() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
}
