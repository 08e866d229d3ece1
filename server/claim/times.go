package claim

import (
	"math"
	"time"
)

// Times are the durations of the core. Zero means the default.
type Times struct {
	// Wait is the longest wait of [Session.Open]. Default 25 s.
	Wait time.Duration
	// Stream is the longest duration of [Waiting.Listen]. Default 55 s.
	Stream time.Duration
	// Heartbeat is the longest silence of [Waiting.Listen]. Default 15 s.
	Heartbeat time.Duration
	// Unacknowledged is how long [Waiting.Listen] continues while a message is neither acknowledged
	// nor answered. Default 5 s.
	Unacknowledged time.Duration
	// Acknowledge is how long a session that uses cursors lives with neither
	// an open poll nor an answer. Default 10 s.
	Acknowledge time.Duration
	// Closed is how long a session that uses cursors may give no sign of life after its program
	// closed the connection of its poll ([Flow.HungUp]). Then what may be repeated moves to other
	// sessions. Default 2 s.
	Closed time.Duration
	// NoPoller is how long an exchange waits while no session polls. Default 5 s.
	NoPoller time.Duration
	// Answer is how long a visitor waits for the answer, from the first delivery, unless the claim
	// says otherwise. Default 60 s.
	Answer time.Duration
	// Part is how long a visitor waits for the next part of a streamed answer.
	// Default 60 s.
	Part time.Duration
	// Lease is how long a claim lives while nobody polls, unless the claim says otherwise. Default
	// 60 s.
	Lease time.Duration
	// Unpolled is how long a claim that was never polled lives, whatever its lease. Default 60 s.
	Unpolled time.Duration
	// Tombstone is how long ids of ended exchanges and ended sessions are
	// remembered. Default 2 min.
	Tombstone time.Duration
	// Records is how long [Records] may take for a change. Default 5 s.
	Records time.Duration
	// Spread is the longest time over which parked polls end when the gateway drains, a millisecond
	// for each. Default 2 s.
	Spread time.Duration
	// Parting is how long programs have to end upgraded connections when the gateway stops. Default
	// 2 s.
	Parting time.Duration
	// Released is how long a released label stays its token's, see [Limits.Released]. Default 0:
	// others may claim it at once. Labels that the registry chose are never given to others.
	Released time.Duration
}

func (t Times) withDefaults() Times {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&t.Wait, 25*time.Second)
	set(&t.Stream, 55*time.Second)
	set(&t.Heartbeat, 15*time.Second)
	set(&t.Unacknowledged, 5*time.Second)
	set(&t.Acknowledge, 10*time.Second)
	set(&t.Closed, 2*time.Second)
	set(&t.NoPoller, 5*time.Second)
	set(&t.Answer, 60*time.Second)
	set(&t.Part, 60*time.Second)
	set(&t.Lease, 60*time.Second)
	set(&t.Unpolled, 60*time.Second)
	set(&t.Tombstone, 2*time.Minute)
	set(&t.Records, 5*time.Second)
	set(&t.Spread, 2*time.Second)
	set(&t.Parting, 2*time.Second)
	return t
}

// Limits are the bounds of the core. Zero means the default, negative no bound.
type Limits struct {
	// Claims is the most claims of the gateway. Default 100,000.
	Claims int
	// AddressClaims is the most claims that count for one address. Default no bound.
	AddressClaims int
	// Sessions is the most live sessions of one claim. Default 64.
	Sessions int
	// Queue is the most open exchanges of one claim. Default 1,024.
	Queue int
	// Exchanges is the most open exchanges of the gateway. Default 16,384.
	Exchanges int
	// Memory is the most memory, in bytes, for what strangers and programs make the gateway keep;
	// see [budget.Budget]. Default no bound.
	Memory int64
	// Connections is the most connections. Default 32,768.
	Connections int
	// Batch is the most messages of one poll. Default 64.
	Batch int
	// Tombstones is the most ids of ended exchanges that a session remembers.
	// Default 16,384.
	Tombstones int
	// Released is the most released labels that the registry remembers. Default 0; negative means
	// 0 too.
	Released int
}

func (l Limits) withDefaults() Limits {
	set := func(n *int, to int) {
		switch {
		case *n == 0:
			*n = to
		case *n < 0:
			*n = math.MaxInt
		}
	}
	set(&l.Claims, 100_000)
	set(&l.Sessions, 64)
	set(&l.Queue, 1_024)
	set(&l.Exchanges, 16_384)
	set(&l.Connections, 32_768)
	set(&l.AddressClaims, math.MaxInt)
	set(&l.Batch, 64)
	set(&l.Tombstones, 16_384)
	return l
}
