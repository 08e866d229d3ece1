package family

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/control"
	"reversehttp/server/problem"
)

// claimPath is the path at which a program that is the TLS client and the HTTP server is asked what
// it claims, and told what it got.
const claimPath = "/.well-known/reversehttp/claim"

// claimTime is how long a program has to say what it claims, and mostClaim the most bytes for it.
const (
	claimTime = 10 * time.Second
	mostClaim = 16 << 10
)

// reversed serves a TLS connection whose client is the program's HTTP server. First it asks what
// the program claims.
func (d *ietf) reversed(c *tls.Conn, inner string) {
	t, err := turn(d.g, c, inner, d.seen)
	if err != nil {
		return
	}
	s, err := d.askClaim(t, c.RemoteAddr().String())
	var f *feed
	if err == nil {
		f, err = newFeed(s)
	}
	if err != nil {
		t.tell("application/problem+json", problem.Of(err).Body(d.g.Guide))
		t.serve()
		return
	}
	t.tell("application/json", d.g.State(s.Claim()))
	t.serve(f)
}

// askClaim asks the program what it claims, and opens a session for it.
func (d *ietf) askClaim(t *turned, from string) (*claim.Session, error) {
	resp, content, err := t.own(http.MethodGet, "", nil)
	var ask schema.ClaimRequest
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(content, &ask) != nil || ask.Label == nil || ask.Token == nil {
		return nil, problem.New(schema.CodeBadJSON, "GET "+claimPath+" is to answer 200 with a JSON object of label and token, as POST /claims takes it.")
	}
	r := &http.Request{RemoteAddr: from, Header: http.Header{}}
	set, err := control.Settings(ask, content, d.g.Admission.From(r))
	if err != nil {
		return nil, err
	}
	if !claim.ValidToken(*ask.Token) {
		return nil, problem.New(schema.CodeBadToken, "")
	}
	o, err := d.g.EnterWith(r, claim.Place{Door: ietfName}, *ask.Label, *ask.Token, set)
	if err != nil {
		return nil, err
	}
	return o.Session, nil
}

// tell sends the program the result of its claim. It ignores the response.
func (t *turned) tell(media string, what any) {
	content, err := json.Marshal(what)
	if err != nil {
		panic("family: " + err.Error()) // our own types always marshal
	}
	_, _, _ = t.own(http.MethodPut, media, content)
}

// own sends a request of the gateway's own, which no visitor made.
func (t *turned) own(method, media string, content []byte) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), claimTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(t.g.Public.Control, "/")+claimPath, bytes.NewReader(content))
	if err != nil {
		return nil, nil, err
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := t.send(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, mostClaim+1))
	if len(got) > mostClaim {
		err = io.ErrShortBuffer
	}
	return resp, got, err
}
