package control

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"
	"golang.org/x/net/http/httpguts"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/recording"
	"reversehttp/server/trace"
	"reversehttp/server/trust"
)

// Replays sends recorded requests to handlers again. [NewReplays] makes one.
type Replays struct {
	claims      *Claims
	recorder    *recording.Recorder
	trust       trust.Peers
	targetBytes int
	traces      trace.Begin

	life    context.Context // ended by Drain and Close
	end     context.CancelFunc
	mu      sync.Mutex // held while a replay begins, and while life is ended
	running sync.WaitGroup
}

// NewReplays returns Replays of recorded requests whose target has at most targetBytes bytes. traces
// are those that begin for requests without a valid traceparent.
func NewReplays(c *Claims, r *recording.Recorder, peers trust.Peers, targetBytes int, traces trace.Begin) *Replays {
	rs := &Replays{claims: c, recorder: r, trust: peers, targetBytes: targetBytes, traces: traces}
	rs.life, rs.end = context.WithCancel(context.Background())
	return rs
}

// mostReplay bounds the JSON of a replay, in bytes.
const mostReplay = 1 << 20

// Replay answers POST {exchanges}/{id}/replay.
func (rs *Replays) Replay(w http.ResponseWriter, r *http.Request) {
	c, id := claimOf(r), chi.URLParam(r, "exchange")
	var ask schema.ReplayRequest
	if _, p := rs.claims.decode(w, r, &ask, mostReplay); p != nil {
		p.Write(w, r)
		return
	}
	book := rs.recorder.Book(c)
	if book == nil {
		noRecording(id).Write(w, r)
		return
	}
	req, body, cut, found := book.Request(id)
	if !found {
		noRecording(id).Write(w, r)
		return
	}
	req.ReplayOf, req.RemoteAddr = id, rs.trust.Visitor(r)
	given, p := rs.replace(&req, body, cut, &ask, c.Label())
	if p == nil && !book.Replays.Allow() {
		p = problem.New(schema.CodeRateLimited, "A claim has four replays a second.")
	}
	if p != nil {
		p.Write(w, r)
		return
	}
	rs.traces.Set(&req)
	x, p := rs.begin(r, c, &req, given)
	if p != nil {
		p.Write(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusAccepted, schema.ReplayAnswer{ID: x.ID(), URL: rs.claims.Envelopes.ClaimURL(c) + "/exchanges/" + x.ID()})
}

// replace applies the owner's overrides to the recorded request, and returns its content.
func (rs *Replays) replace(req *claim.Request, body []byte, cut bool, ask *schema.ReplayRequest, label string) ([]byte, *problem.Problem) {
	bad := func(member, detail string) *problem.Problem {
		return &problem.Problem{Code: schema.CodeBadMember, Pointer: "/" + member, Detail: detail}
	}
	if req.Upgrade != "" {
		return nil, problem.New(schema.CodeBadRequest, "A WebSocket is not replayed: nobody would be at its other end.")
	}
	if ask.Method != nil {
		if !httpguts.ValidHeaderFieldName(*ask.Method) || *ask.Method == http.MethodConnect || len(*ask.Method) > mostMethod {
			return nil, bad("method", "method is a token such as POST (RFC 9110, 9), and not CONNECT.")
		}
		req.Method = *ask.Method
	}
	if ask.Target != nil {
		target := envelope.Bytes(*ask.Target)
		if len(target) > rs.targetBytes {
			return nil, bad("target", "target is longer than this gateway accepts.")
		}
		if !validTarget(*ask.Target) {
			return nil, bad("target", "target is * or a path that begins with /, in the form of a request: percent-encoded, without spaces and #.")
		}
		req.Target, req.URL = target, strings.TrimSuffix(cmp.Or(req.Base, rs.claims.Envelopes.Public.Base(label)), "/")
		if target != "*" {
			req.URL += target
		}
	}
	if ask.Headers != nil {
		if f := rs.fields(req, *ask.Headers); f != "" {
			return nil, bad("headers", f)
		}
	}
	switch {
	case ask.Body != nil && ask.BodyBase64 != nil:
		return nil, bad("bodyBase64", "body and bodyBase64 exclude each other.")
	case ask.Body != nil:
		body, cut = []byte(*ask.Body), false
	case ask.BodyBase64 != nil:
		decoded, err := base64.StdEncoding.Strict().DecodeString(*ask.BodyBase64)
		if err != nil || strings.ContainsAny(*ask.BodyBase64, "\r\n") {
			return nil, bad("bodyBase64", "bodyBase64 is base64 (RFC 4648, 4), with padding.")
		}
		body, cut = decoded, false
	}
	if cut {
		return nil, problem.New(schema.CodeRecordingCut, "")
	}
	setLength(req, len(body))
	return body, nil
}

// mostMethod is the longest method of a replay, in bytes.
const mostMethod = 64

// validTarget reports whether a request may have this target, each of whose characters is a byte.
func validTarget(target string) bool {
	if target != "*" && !strings.HasPrefix(target, "/") {
		return false
	}
	for _, c := range target {
		if c <= ' ' || c == '#' || c == 0x7f || c > 0xff {
			return false
		}
	}
	return true
}

// fields replaces the fields of a request by given, without fields of a connection. It returns why
// they are invalid, or "".
func (rs *Replays) fields(req *claim.Request, given []schema.Field) (why string) {
	if why := field.FaultOfAll(given, rs.claims.Bounds.Fields, rs.claims.Bounds.FieldBytes); why != "" {
		return why
	}
	fields, hosts := []claim.Field{{Name: "Host", Value: hostOf(req)}}, 0
	for _, f := range given {
		name, value := http.CanonicalHeaderKey(f[0]), envelope.Bytes(f[1])
		if _, why := field.FaultOf(f[0], f[1]); why != "" {
			return problem.Repeated(f[0]) + ": " + why
		}
		switch {
		case name == "Host" && (hosts > 0 || !validHost(value)):
			return "Host is given once, and is a host with or without a port."
		case name == "Host":
			fields[0].Value = value
			hosts++
		case !field.EndsInRequest(name):
			fields = append(fields, claim.Field{Name: name, Value: value})
		}
	}
	slices.SortStableFunc(fields[1:], func(a, b claim.Field) int { return strings.Compare(a.Name, b.Name) })
	req.Fields = fields
	return ""
}

// validHost reports whether a request may have this Host: it is not empty, and has no space.
func validHost(host string) bool { return host != "" && !strings.ContainsAny(host, " \t/,@") }

// hostOf returns the Host of a request.
func hostOf(req *claim.Request) string {
	for _, f := range req.Fields {
		if f.Name == "Host" {
			return f.Value
		}
	}
	return ""
}

// setLength sets the Content-Length of a request that has content, or that had a length.
func setLength(req *claim.Request, n int) {
	is := func(f claim.Field) bool { return f.Name == "Content-Length" }
	stated := slices.ContainsFunc(req.Fields, is)
	req.Fields = slices.DeleteFunc(req.Fields, is)
	if n == 0 && !stated {
		return
	}
	at := slices.IndexFunc(req.Fields, func(f claim.Field) bool { return f.Name != "Host" && f.Name > "Content-Length" })
	if at < 0 {
		at = len(req.Fields)
	}
	req.Fields = slices.Insert(req.Fields, at, claim.Field{Name: "Content-Length", Value: strconv.Itoa(n)})
}

// begin begins an exchange with a request, and runs it on a goroutine.
func (rs *Replays) begin(r *http.Request, c *claim.Claim, req *claim.Request, content []byte) (*claim.Exchange, *problem.Problem) {
	hold := rs.claims.Registry.Options().Budget.Open(rs.trust.Address(r))
	if !hold.Grow(len(content) + replayWeight) {
		hold.Close()
		return nil, intake.NoRoom()
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.life.Err() != nil {
		hold.Close()
		return nil, &problem.Problem{Code: schema.CodeDraining}
	}
	x, err := c.Begin(hold, nil)
	if err != nil {
		hold.Close()
		p := problem.Of(err)
		p.Visitor = false
		return nil, p
	}
	req.Content = claim.Whole(content)
	rs.running.Go(func() { rs.run(x, req, hold) })
	return x, nil
}

// replayWeight is the memory, in bytes, that a replay takes beside its content.
const replayWeight = 8 << 10

// run runs an exchange to its end. Only its recording gets the answer.
func (rs *Replays) run(x *claim.Exchange, req *claim.Request, hold *budget.Hold) {
	defer hold.Close()
	a, err := x.Do(rs.life, req)
	if err != nil || !a.More {
		return
	}
	// Nobody sees more of the answer than is recorded.
	ctx, cancel := context.WithTimeout(rs.life, x.Timeout)
	defer cancel()
	var chunks [][]byte
	for came := len(a.Content); err == nil; {
		if came > mostReplayed {
			cancel()
		}
		chunks, err = x.Next(ctx)
		for _, c := range chunks {
			came += len(c)
		}
	}
}

// mostReplayed is how many bytes of the answer to a replay are taken. Beyond that, or after the
// claim's time for an answer, the exchange ends as if a visitor left.
const mostReplayed = 1 << 20

// Drain ends all replays and lets none begin.
func (rs *Replays) Drain() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.end()
}

// Close ends all replays and waits until they have ended.
func (rs *Replays) Close() {
	rs.Drain()
	rs.running.Wait()
}
