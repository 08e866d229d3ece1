package reversehttp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"reversehttp/schema"
)

const (
	// A little more than what proxies let a request have at most unless told otherwise: 1 MiB.
	probeBytes = 1<<20 + 64<<10
	// How long a stream may wait for the outcome. It goes in parts then; the outcome is for those after it.
	probeWait = 5 * time.Second
	// How long the probe may take: on a line that is slower parts are as good.
	probeMost = 30 * time.Second
)

// A probe tells whether what is between lets a stream pass raw in one session of the gateway: a request of no stated
// length and of some size. A stream that is refused in the middle is lost to its visitor, so it is asked before, with a
// request that has nothing to lose. The first stream that is to go raw begins it; the session owns its goroutine.
type probe struct {
	begin  sync.Once
	done   chan struct{} // closed when passes is known
	passes atomic.Bool   // and stays so until a stream is refused all the same
}

// lets waits until it is known whether streams of a session pass raw, for as long as [probeWait] at most. It
// begins the probe.
func (p *probe) lets(ctx context.Context, s *Session, at *claimed) bool {
	p.begin.Do(func() {
		s.running.Go(func() {
			defer close(p.done)
			err := p.try(s.gateway, at)
			p.passes.Store(err == nil)
			if err != nil {
				s.log.Info("streams go in parts", "label", at.Label, "error", err)
			}
		})
	})
	timer := time.NewTimer(probeWait)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.passes.Load()
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// try posts no messages and much white space. Only what the gateway answers to that will do.
func (p *probe) try(g *gateway, at *claimed) error {
	ctx, cancel := context.WithTimeout(at.ctx, probeMost)
	defer cancel()
	const nothing = `{"messages":[]}`
	padding := io.LimitReader(blank{}, int64(min(probeBytes, at.Limits.AnswerBytes)-len(nothing)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.Responses, io.MultiReader(strings.NewReader(nothing), padding))
	if err != nil {
		return err
	}
	req.ContentLength = -1
	req.Header["Accept"] = []string{"application/json"}
	req.Header["Authorization"] = []string{"Bearer " + at.Token}
	req.Header["Content-Type"] = []string{"application/json"}
	resp, err := g.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	content, err := answerOf(resp)
	if err != nil {
		return err
	}
	var r schema.Results
	if err := json.Unmarshal(content, &r); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted || r.Results == nil || len(r.Results) > 0 {
		return errors.New("no answer of a gateway")
	}
	return nil
}

// blank is white space without end.
type blank struct{}

func (blank) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
