package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsBucket is a bucket on NATS: a stream with the layout of a key-value bucket, so that the
// command nats kv reads it. Unlike one that nats.go makes, it answers reads by its leader only, and
// marks of deleted keys end by themselves.
type natsBucket struct {
	*connection
	name    string
	storage jetstream.StorageType
	age     time.Duration // after which values end; 0 for never

	mu     sync.Mutex // guards what follows
	stream jetstream.Stream
	born   time.Time // when the stream was made, as it was last seen
	seen   uint64    // the last revision that was seen
}

const (
	// markTime is for how long the mark of a deleted key stays. A change that a server reads later
	// than that, and that expects the key never to have been there, would be made.
	markTime = 10 * time.Minute
	// margin is by how much revisions of a bucket that is made again are ahead of those seen.
	margin = 1 << 20
	// busyPause is between attempts while another change of a key is under way.
	busyPause = 5 * time.Millisecond

	operationField = "KV-Operation"
	deleted        = "DEL"
)

func (b *natsBucket) subject(key string) string { return "$KV." + b.name + "." + key }

// open finds the stream, or makes it. Revisions of a stream that is made again are later than all
// before: it begins after those that this node has seen, and, for a node that saw none, at the
// milliseconds since 1970, since changes are rarer than those.
func (b *natsBucket) open(ctx context.Context) (jetstream.Stream, error) {
	stream, err := b.js.Stream(ctx, "KV_"+b.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		first := max(uint64(time.Now().UnixMilli()), b.seenBefore()+margin)
		stream, err = b.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: "KV_" + b.name, Subjects: []string{b.subject(">")}, Description: "ReverseHttp gateways share it",
			MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1, MaxAge: b.age,
			Storage: b.storage, Replicas: b.replicasNow(), Discard: jetstream.DiscardNew,
			FirstSeq: first, AllowMsgTTL: true, DenyDelete: true, AllowRollup: true,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node made it a moment ago
			stream, err = b.js.Stream(ctx, "KV_"+b.name)
		}
	}
	if err != nil {
		return nil, err
	}
	switch c := stream.CachedInfo().Config; {
	case c.MaxMsgsPerSubject != 1:
		return nil, wrongBucket{b.name, "it keeps a history"}
	case !c.AllowMsgTTL:
		return nil, wrongBucket{b.name, "marks of deleted keys do not end"}
	case c.AllowDirect:
		return nil, wrongBucket{b.name, "servers that are behind answer reads"}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stream = stream
	return stream, nil
}

// saw notes a revision.
func (b *natsBucket) saw(revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = max(b.seen, revision)
}

// last returns what a key has: a value, or nil and the revision of the mark of a deleted key, or 0.
func (b *natsBucket) last(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	b.mu.Lock()
	stream := b.stream
	b.mu.Unlock()
	m, err := stream.GetLastMsgForSubject(ctx, b.subject(key))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("engine: %w", err)
	}
	b.saw(m.Sequence)
	if isMark(m.Header) {
		return nil, m.Sequence, nil
	}
	return valueOf(m.Data), m.Sequence, nil
}

// isMark reports whether a message says that its key was deleted.
func isMark(h nats.Header) bool {
	return h.Get(operationField) != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}

// valueOf returns the value in a message, which is not nil.
func valueOf(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// get implements [bucket].
func (b *natsBucket) get(ctx context.Context, key string) ([]byte, uint64, error) {
	value, revision, err := b.last(ctx, key)
	if err == nil && value == nil {
		return nil, 0, errNone
	}
	return value, revision, err
}

// put implements [bucket]. A server also refuses a revision while another change of the key is under
// way, and one of 0 while there is a mark of the deleted key (nats-server#3895).
func (b *natsBucket) put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	expected := revision
	for {
		next, err := b.send(ctx, key, value, expected)
		if !errors.Is(err, errOther) {
			return next, err
		}
		there, last, err := b.last(ctx, key)
		switch {
		case err != nil:
			return 0, unmade{err}
		case revision == 0 && there == nil && last != expected:
			expected = last
		case last != expected:
			return 0, errOther
		case sleep(ctx, busyPause) != nil:
			return 0, unmade{ctx.Err()}
		}
	}
}

// send makes a change of a key whose last message has the revision expected.
func (b *natsBucket) send(ctx context.Context, key string, value []byte, expected uint64) (uint64, error) {
	m := nats.NewMsg(b.subject(key))
	m.Data = value
	var options []jetstream.PublishOpt
	if expected != anyRevision {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(expected))
	}
	if value == nil {
		m.Header.Set(operationField, deleted)
		options = append(options, jetstream.WithMsgTTL(markTime))
	}
	ack, err := b.js.PublishMsg(ctx, m, options...)
	if err == nil {
		b.saw(ack.Sequence)
		return ack.Sequence, nil
	}
	if refusal, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch refusal.ErrorCode {
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return 0, errOther
		}
		return 0, unmade{fmt.Errorf("engine: %w", err)}
	}
	err = fmt.Errorf("engine: %w", err)
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) {
		return 0, unmade{err} // it was not sent, or nobody took it
	}
	return 0, err
}

// watch implements [bucket]. It ends with the connection, so that what changed meanwhile is read
// when it is back.
func (b *natsBucket) watch(ctx context.Context, s sink) error {
	lost, err := b.whenUp(ctx)
	if err != nil {
		return err
	}
	call, cancel := bounded(ctx)
	defer cancel()
	seen := b.seenBefore()
	stream, err := b.open(call)
	if err != nil {
		return err
	}
	forgot := b.compare(stream.CachedInfo(), seen)
	consumer, err := stream.CreatePushConsumer(call, jetstream.ConsumerConfig{
		DeliverSubject: b.NewInbox(), DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, AckPolicy: jetstream.AckNonePolicy, MaxDeliver: 1,
		FilterSubject: b.subject(">"), FlowControl: true, IdleHeartbeat: heartbeatTime, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return err
	}
	cancel()
	done := make(chan struct{})
	messages, broken := make(chan jetstream.Msg), make(chan error, 1)
	running, err := consumer.Consume(func(m jetstream.Msg) {
		select {
		case messages <- m:
		case <-done:
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		select {
		case broken <- err:
		default:
		}
	}))
	if err != nil {
		return err
	}
	defer func() {
		close(done)
		running.Stop()
		b.forget(consumer.CachedInfo().Name)
	}()
	s.begin(forgot)
	r := reading{bucket: b, sink: s, left: consumer.CachedInfo().NumPending}
	if r.left == 0 {
		r.end()
	}
	for {
		select {
		case m := <-messages:
			if err := r.take(m); err != nil {
				return err
			}
		case err := <-broken:
			return err
		case <-lost:
			return nats.ErrDisconnected
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// seenBefore returns the last revision that was seen so far.
func (b *natsBucket) seenBefore() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

// compare reports whether the stream has lost changes: it is another than before, or its last
// revision is earlier than one that was seen before it was asked.
func (b *natsBucket) compare(info *jetstream.StreamInfo, seen uint64) (lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost = !b.born.IsZero() && !b.born.Equal(info.Created) || info.State.LastSeq < seen
	if b.born = info.Created; lost {
		b.seen = info.State.LastSeq
	}
	return lost
}

// forget deletes a consumer. One that it cannot delete ends by itself.
func (b *natsBucket) forget(consumer string) {
	if b.Status() != nats.CONNECTED {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), retryTime)
	defer cancel()
	_ = b.js.DeleteConsumer(ctx, "KV_"+b.name, consumer)
}

// reading gives the messages of a consumer to a sink.
type reading struct {
	bucket *natsBucket
	sink   sink
	whole  bool
	left   uint64 // messages until everything was read
	taken  uint64
}

// end says once that everything was read.
func (r *reading) end() {
	if !r.whole {
		r.whole = true
		r.sink.whole()
	}
}

// errGap says that a message did not arrive.
var errGap = errors.New("engine: a change was lost on its way")

// take takes the next message.
func (r *reading) take(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if r.taken++; meta.Sequence.Consumer != r.taken {
		return errGap
	}
	r.bucket.saw(meta.Sequence.Stream)
	e := event{key: strings.TrimPrefix(m.Subject(), r.bucket.subject("")), revision: meta.Sequence.Stream, at: meta.Timestamp}
	if !isMark(m.Headers()) {
		e.value = valueOf(m.Data())
	}
	r.sink.take(e)
	if meta.NumPending == 0 || r.taken >= r.left {
		r.end()
	}
	return nil
}
