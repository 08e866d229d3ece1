package reversehttp

import (
	"context"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// A poll that listens asks for a stream: the answer stays open, and each line of it is a message with its
// cursor; in the framed form the content follows the line. A message is begun when it is complete; then the
// cursor names it. Blank lines are heartbeats.
//
//	the first byte   the gateway is there. If it does not arrive in time (ways.go), an intermediary holds it back,
//	                 which may collect a whole answer before it passes that on: the session asks for batches instead
//	silence          longer than the heartbeat allows: the connection is dead, although it looks open
//	a clean end      the gateway wants to be polled again
//	any other end    the poll failed. The rest of a line is dropped, and its message is delivered again

const (
	// Between heartbeats, if the gateway does not say.
	heartbeatSeconds = 15
	// What a heartbeat may be late.
	heartbeatSlack = 5 * time.Second
)

// What polls accept: the stream that is wanted, and what a gateway may give instead.
const (
	acceptStream = "application/x-ndjson, application/json;q=0.5"
	acceptFramed = envelope.MediaFramed + ", application/x-ndjson;q=0.9, application/json;q=0.5"
)

var (
	errWithheld = errors.New("reversehttp: something before the gateway keeps the stream back")
	errSilent   = errors.New("reversehttp: the stream is silent")
)

// listen asks for a stream, whose first byte may take so long, and begins what comes, until that ends. It reports useful if
// it brought news or the stream lasted: it may be asked for again at once.
func (p *poller) listen(at *claimed, accept string, most time.Duration) (useful bool, err error) {
	ctx, cancel := context.WithCancelCause(at.ctx)
	defer cancel(nil)
	first := newPatience(most, func() { cancel(errWithheld) })
	defer first.stop()
	quiet := newPatience(math.MaxInt64, func() { cancel(errSilent) })
	defer quiet.stop()
	defer func() {
		// The client says that its context ended, and not why.
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	since := time.Now()
	resp, err := p.askForStream(ctx, at, accept)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	way := map[string]Transport{envelope.NDJSON.Media(): TransportStream, envelope.MediaFramed: TransportFramed}[kind]
	if resp.StatusCode != http.StatusOK || way == "" {
		// No stream, and nothing that is kept back.
		first.stop()
		quiet.renew(callSilence)
		resp.Body = moving{resp.Body, func() { quiet.renew(callSilence) }}
		content, err := answerOf(resp)
		if err != nil {
			return false, err
		}
		news, err := p.beginAll(at, content)
		return news || time.Since(since) >= soon, err
	}
	opened := false
	content := readerFunc(func(into []byte) (int, error) {
		n, err := resp.Body.Read(into)
		if n > 0 {
			quiet.renew(silenceMost(at.Limits))
		}
		if n > 0 && !opened && first.stop() {
			opened = true
			p.session.online()
			p.comes(at, way)
		}
		return n, err
	})
	r := newIncoming(content, way == TransportFramed, at.Limits)
	for err == nil {
		var b batch
		b, err = r.next()
		useful = p.begin(at, b) || useful
	}
	useful = useful || opened && time.Since(since) >= soon
	if err == io.EOF {
		err = nil
	}
	return useful, err
}

func (p *poller) askForStream(ctx context.Context, at *claimed, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Requests, nil)
	if err != nil {
		return nil, err
	}
	h := req.Header
	h["Accept"] = []string{accept}
	h["Accept-Encoding"] = []string{"identity"} // what is coded is collected first
	h["Authorization"] = []string{"Bearer " + at.Token}
	if cursor := at.cursor.get(); cursor != "" {
		h["Last-Event-Id"] = []string{cursor}
	}
	return p.session.gateway.client.Do(req)
}

// silenceMost returns how long a stream that lives may be silent.
func silenceMost(l schema.Limits) time.Duration {
	seconds := l.HeartbeatSeconds
	if seconds <= 0 {
		seconds = heartbeatSeconds
	}
	return 2*time.Duration(seconds)*time.Second + heartbeatSlack
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
