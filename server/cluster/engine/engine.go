// Package engine keeps which node is home of a claim, for a gateway of several nodes. It has the
// only state that nodes share: a record for each label, a heartbeat of each node, the labels that
// the operator took down, what each node has used of quotas, and secrets of the gateway.
//
// Records change only by compare-and-set. The revision of a record is the term of the claim's home.
// A record is written when a claim is made, changed, moved or ended, and never by traffic. What a
// node reads of it, in its directory or by Look, only decides whom to ask.
//
// [Connect] uses NATS JetStream: engine.go is what a node sees, member.go holds a node's part
// together, and bucket.go is what differs between NATS and [Memory], which tests use.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"reversehttp/server/admission"
	"reversehttp/server/claim"
)

// Engine is a node's access to the state that all nodes share. Every call is bounded by its context
// and by [CallTime].
type Engine interface {
	// Records are the records of claims. Create and Update write that this run of this node is the
	// claim's home, so Update is also how a node takes a claim over. The revision is the term.
	//
	// If a change ends without an answer, Get repeats it before it reads, so that nothing of it is
	// still to come. Get then fails with [claim.ErrMoved] if another node has become the home.
	claim.Records
	// SharedRecords are the labels that were taken down, on whichever node. The function given to
	// WithdrawnChanged must return soon.
	admission.SharedRecords

	// Look reads the record of a label from the engine. Callers share reads that begin after all of
	// them have called. It fails with [claim.ErrNoRecord].
	Look(ctx context.Context, label string) (claim.Record, Home, error)
	// Home returns the home of a label in the directory, this node's copy of all records without
	// their content. The copy may be late, so it is a hint. Home never waits.
	Home(label string) (Home, bool)
	// Homes calls each for every label in the directory, in no order, until it returns false.
	Homes(each func(label string, h Home) bool)
	// Released calls each for every label that was released at least so long ago, in no order, until it
	// returns false. It compares times of the engine only: when the record was written, and when the newest
	// heartbeat was. Delete at the revision forgets the label.
	Released(age time.Duration, each func(label string, revision uint64) bool)
	// Changed calls f for every label in the directory, and then for each change of it, one at a
	// time and in order. There is one f, which must return soon and must not call Changed.
	Changed(f func(Change))

	// Beat writes that this node is alive, and what others may know of it. Call it every
	// [BeatTime]. It fails with [ErrReplaced] if another process uses the node's name.
	Beat(ctx context.Context, n Node) error
	// Node returns the node with a name, if it was heard of and has not left.
	Node(name string) (Live, bool)
	// Left reports whether a run of a node was heard of and has left, as far as is remembered.
	Left(name, run string) bool
	// Nodes returns the nodes that were heard of and have not left, this one included, by name.
	Nodes() []Live

	// Domain returns the label that a domain leads to, in this node's copy, or "".
	Domain(name string) (label string)
	// SetDomain writes that a domain leads to a label, and UnsetDomain that it does no longer. The
	// latter does nothing if the domain leads to another label.
	SetDomain(ctx context.Context, name, label string) error
	UnsetDomain(ctx context.Context, name, label string) error

	// SetUsage writes what this node has used for an owner of quotas, by any name. A nil value removes
	// it.
	SetUsage(ctx context.Context, owner string, value []byte) error
	// UnsetUsage removes what a node has used, unless there is another value by now.
	UnsetUsage(ctx context.Context, node, owner string, value []byte) error
	// UsageChanged calls f with what every node has used, this one included, before it returns, and
	// then with each change; a nil value was removed. There is one f, which must return soon and must
	// not call the engine.
	UsageChanged(f func(node, owner string, value []byte))

	// Secret returns the random secret of all nodes for a purpose, which the first call creates.
	Secret(ctx context.Context, purpose string) ([]byte, error)
	// State returns how well this node is connected.
	State() State
	// Close tells the other nodes that this one has left, and ends the connection.
	Close()
}

// Home is where a claim is kept. Two homes are the same if all members are equal: an engine that has
// lost data may give a term again.
type Home struct {
	// Node is the name of the node that keeps the claim, and Run the run of its process.
	Node, Run string
	// Term is the revision of the record. The terms of a label only grow. It is never 0.
	Term uint64
}

// Change is a change of the directory.
type Change struct {
	Label string
	// Home is the new home, or the last one of a label whose record is gone.
	Home Home
	// Ended says that the record is gone.
	Ended bool
	// Lost says that the engine has lost data, so that this may be no change that any node made. A
	// home whose claim lives may write its record again, by Create if it is gone and otherwise by
	// Update at Home.Term.
	Lost bool
}

// Node is what a node says of itself.
type Node struct {
	// Name and Run are set by Beat.
	Name string `json:"name"`
	Run  string `json:"run"`
	// PeerURL is where other nodes reach it.
	PeerURL string `json:"peerUrl"`
	// Version is the newest version of the protocol between nodes that it speaks, and Oldest the oldest; zero
	// means Version.
	Version int `json:"version"`
	Oldest  int `json:"oldest,omitempty"`
	// Settings must be the same on all nodes that have them: the public URL, limits that programs see.
	Settings map[string]string `json:"settings,omitempty"`
	// Claims is how many claims it keeps.
	Claims int `json:"claims"`
	// Ready says that it takes requests, and Leaving that it is about to end.
	Ready   bool `json:"ready,omitempty"`
	Leaving bool `json:"leaving,omitempty"`
}

// Live is a node and when it was last heard of.
type Live struct {
	Node
	// Heard is when the last heartbeat came, by the clock of this process.
	Heard time.Time
	// Silent is how long before the newest heartbeat of any node the last one of this node came, by
	// the clock of this process and by that of the engine, whichever says less. It does not grow
	// while this node receives nothing, or was itself paused, so that no node looks dead because of
	// that.
	Silent time.Duration
}

// State is how well a node is connected to the engine.
type State struct {
	// Up says that changes arrive and that the last heartbeat was accepted.
	Up bool
	// Synced says that the directory and the nodes were read to their end once.
	Synced bool
}

// Options are how a node connects.
type Options struct {
	// URLs are those of NATS servers: nats://, or tls:// for TLS. [Memory] ignores it and the three
	// below.
	URLs []string
	// Creds is the path of a credentials file. Empty means none.
	Creds string
	// Bucket is the name of the claims' bucket, and begins those of the others. Empty means
	// reversehttp.
	Bucket string
	// Replicas is on how many NATS servers each record is, if the buckets are made now. Zero means
	// 3 where there are three servers, and otherwise 1.
	Replicas int
	// Node is the name of this node. It is required, and no other node may have it.
	Node string
	// Run names this process among those that had or will have the node's name. Empty means a
	// random name.
	Run string
	// Log gets what an operator should know. Nil means nothing is logged.
	Log *slog.Logger
}

// Times of the engine.
const (
	// CallTime is how long a call takes at most.
	CallTime = 2 * time.Second
	// BeatTime is how often a node calls Beat.
	BeatTime = 1500 * time.Millisecond

	// nameTime is for how long a node that uses a name has to be silent before another may start
	// with it.
	nameTime = 4 * time.Second
	// leavingTime is how long Close tries to tell the others.
	leavingTime = time.Second
	// forgetTime is how long a silent node is remembered.
	forgetTime = 5 * time.Minute
	// leftTime is how long it is known that a node has left, for claims whose home it still is.
	leftTime = 24 * time.Hour
)

// The errors of [Connect] and Beat that a program acts upon.
var (
	// ErrNameTaken says that a live node has the name.
	ErrNameTaken = errors.New("engine: another node with this name is running")
	// ErrReplaced says that another process has started with the name of this node, which was
	// silent. This one must end.
	ErrReplaced = errors.New("engine: another process took over the name of this node")
	// ErrOldServer says that the version of a NATS server is too old.
	ErrOldServer = errors.New("engine: the NATS server is too old")
)
