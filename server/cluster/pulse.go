package cluster

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// pulse notices that this process was stopped, by an operator or by a machine that was. Others may count
// it as gone then, and have taken its claims over. Until it learns that from the engine's changes it
// would refuse answers to exchanges of the new home, so it looks every label up for a while.
type pulse struct {
	began time.Time
	last  atomic.Int64 // when the process ran, in nanoseconds since began
	doubt atomic.Int64 // until when labels are looked up, in the same way
}

const (
	// pulseTime is how often it is noted that the process runs.
	pulseTime = 250 * time.Millisecond
	// stopTime is for how long it must have been stopped. Others wait for silentTime after its last
	// heartbeat.
	stopTime = 2 * time.Second
	// doubtTime is how long the engine may take to send the changes that were missed.
	doubtTime = 10 * time.Second
)

func newPulse() *pulse { return &pulse{began: time.Now()} }

// run notes that the process runs, until ctx ends.
func (p *pulse) run(ctx context.Context, log *slog.Logger) {
	p.last.Store(int64(time.Since(p.began)))
	tick := time.NewTicker(pulseTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Since(p.began)
		if stopped := now - time.Duration(p.last.Load()); stopped > stopTime {
			p.doubt.Store(int64(now + doubtTime)) // before it is known that the process runs
			log.Warn("this process did not run for a while", "time", stopped.Round(time.Millisecond).String())
		}
		p.last.Store(int64(now))
	}
}

// missed reports whether changes of claims may have been missed.
func (p *pulse) missed() bool {
	now := time.Since(p.began)
	return now-time.Duration(p.last.Load()) > stopTime || now < time.Duration(p.doubt.Load())
}
