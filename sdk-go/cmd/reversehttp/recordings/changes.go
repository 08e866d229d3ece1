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
	// A stream begins with a heartbeat. Where none comes through within this time something between keeps it back.
	firstByte = 4 * time.Second
	// How long it may be silent then: heartbeats come every 15 s.
	nextByte = 40 * time.Second
	// How long until the gateway is asked again, where it did not answer.
	pauseFirst, pauseMost = 200 * time.Millisecond, 10 * time.Second
	// As long may a line be.
	lineMost = 1 << 20
)

// Change is what a stream tells: an exchange as it is now, or that all that had ended are gone.
type Change struct {
	Exchange *Exchange `json:"exchange"`
	Cleared  bool      `json:"cleared"`
	// After names the state of the list: changes after it follow.
	After string `json:"change"`
}

var errKeptBack = errors.New("the stream is kept back")

// Changes returns what changes after a state of the list, for as long as the context lasts or the gateway refuses. Where
// the connection fails the gateway is asked again. It yields an error last, nil changes never.
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
			case err == nil: // the gateway ends a stream after a minute, and a wait when it is over
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

// batch waits for one answer with what changed.
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
		// What comes again after a failure is told again, never lost: the state is that of before until all is told.
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

// reason returns why a context ended where that is why something failed.
func reason(ctx context.Context, err error) error {
	if err == nil || err == io.EOF {
		return nil
	}
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// Ended waits until an exchange is over, and returns its recording as a list has it.
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
