package recordings

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	reversehttp "reversehttp/sdk-go"
)

const (
	// A stream begins with a heartbeat. If none arrives within this time, an intermediary is
	// buffering it.
	firstByte = 4 * time.Second
	// How long a stream may be silent after that. Heartbeats come every 15 s.
	nextByte = 40 * time.Second
	// How long to wait before the next attempt after a failure.
	pauseFirst, pauseMost = 200 * time.Millisecond, 10 * time.Second
	// The longest line, in bytes.
	lineMost = 1 << 20
)

// Change is a change in a list of recordings: an exchange in its current state, or the deletion of
// all recordings.
type Change struct {
	Exchange *Exchange `json:"exchange"`
	Cleared  bool      `json:"cleared"`
	// After names the state of the list after this change.
	After string `json:"change"`
}

var errKeptBack = errors.New("the stream is kept back")

// Changes yields the changes after a state of the list, until ctx ends or the gateway refuses. It
// reconnects if the connection fails. The last pair it yields has an error; changes are never nil
// otherwise.
func (c *Claim) Changes(ctx context.Context, after string) iter.Seq2[*Change, error] {
	return func(yield func(*Change, error) bool) {
		read, pause := c.stream, pauseFirst
		for ctx.Err() == nil {
			ended := false
			err := read(ctx, after, func(change *Change) bool {
				after, pause = change.After, pauseFirst
				ended = !yield(change, nil)
				return !ended
			})
			var refused *reversehttp.Error
			switch {
			case ended:
				return
			case errors.Is(err, errKeptBack):
				read = c.batch
				continue
			case errors.As(err, &refused) && refused.Status < 500 && refused.Status != http.StatusTooManyRequests:
				yield(nil, err)
				return
			case err == nil: // the gateway ends a stream after a minute, and a wait after its time
				pause = pauseFirst
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, pauseMost)
		}
		yield(nil, context.Cause(ctx))
	}
}

// stream reads one stream to its end.
func (c *Claim) stream(ctx context.Context, after string, each func(*Change) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(firstByte, func() { cancel(errKeptBack) })
	defer silence.Stop()
	resp, err := c.open(ctx, http.MethodGet, c.exchanges, nil, http.Header{"Accept": {"application/x-ndjson"}, "Last-Event-Id": {after}})
	if err != nil {
		return reason(ctx, err)
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-ndjson") {
		return errKeptBack
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, lineMost)
	for lines.Scan() {
		silence.Reset(nextByte)
		if len(lines.Bytes()) == 0 {
			continue
		}
		change := &Change{}
		if err := json.Unmarshal(lines.Bytes(), change); err != nil {
			return err
		}
		if !each(change) {
			return nil
		}
	}
	return reason(ctx, lines.Err())
}

// batch waits for one answer with changes.
func (c *Claim) batch(ctx context.Context, after string, each func(*Change) bool) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout+time.Duration(c.waitSecond)*time.Second)
	defer cancel()
	q := Filter{Limit: Most}.query()
	q.Set("after", after)
	content, err := c.sendFor(ctx, http.MethodGet, c.exchanges+"?"+q.Encode(), nil, http.Header{"Prefer": {"wait=" + strconv.Itoa(c.waitSecond)}})
	if err != nil {
		return reason(ctx, err)
	}
	var l List
	if err := json.Unmarshal(content, &l); err != nil {
		return err
	}
	if l.Cleared && !each(&Change{Cleared: true, After: after}) {
		return nil
	}
	for i := range slices.Backward(l.Exchanges) {
		// The state advances only after all changes were yielded, so after a failure some may be
		// yielded again, but none is lost.
		at := after
		if i == 0 {
			at = l.Change
		}
		if !each(&Change{Exchange: &l.Exchanges[i], After: at}) {
			return nil
		}
	}
	return nil
}

// reason returns the cause of the context's end if that is why an operation failed.
func reason(ctx context.Context, err error) error {
	if err == nil || err == io.EOF {
		return nil
	}
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// Ended waits until an exchange has ended, and returns its recording as in a list.
func (c *Claim) Ended(ctx context.Context, id, after string) (*Exchange, error) {
	for change, err := range c.Changes(ctx, after) {
		if err != nil {
			return nil, err
		}
		if x := change.Exchange; x != nil && x.ID == id && x.Ended() {
			return x, nil
		}
	}
	return nil, context.Cause(ctx)
}
