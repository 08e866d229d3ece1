package abuse

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"reversehttp/schema"
)

// owner is a program that uses the control API directly.
type owner struct {
	gateway *gateway
	client  *http.Client
	schema.ClaimAnswer
}

// ask sends POST /claims from an address, with more fields, and names the end. The answer is set if the claim
// was granted.
func (g *gateway) ask(from source, ask schema.ClaimRequest, fields http.Header) (end string, answer schema.ClaimAnswer) {
	content, err := json.Marshal(ask)
	if err != nil {
		panic(err)
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+domain+"/claims", bytes.NewReader(content))
	if err != nil {
		panic(err)
	}
	for name, values := range fields {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := from.client(g).Do(r)
	if err != nil {
		return endOfError(err), answer
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return endOfError(err), answer
	}
	if resp.StatusCode < 300 {
		err = json.Unmarshal(got, &answer)
		if err != nil {
			return "a claim that is not JSON: " + err.Error(), answer
		}
	}
	return endOf(resp.StatusCode, got), answer
}

// own claims a label from an address.
func (w *world) own(from source, label string, timeoutMs int) *owner {
	w.t.Helper()
	end, answer := w.gateway.ask(from, schema.ClaimRequest{Label: &label, TimeoutMs: &timeoutMs}, nil)
	if end != "201" {
		w.t.Fatalf("POST /claims for %s = %s, want 201", label, end)
	}
	return &owner{gateway: w.gateway, client: &http.Client{Transport: from.transport(w.gateway)}, ClaimAnswer: answer}
}

// request makes a request of the owner.
func (o *owner) request(ctx context.Context, method, url string, content []byte) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(content))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.Token)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// poll polls for a batch, which acknowledges the earlier one. It returns nil if there was none.
func (o *owner) poll(ctx context.Context) ([]byte, error) {
	resp, err := o.client.Do(o.request(ctx, http.MethodGet, o.Requests, nil))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	batch, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNoContent:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("GET {requests} = %s", endOf(resp.StatusCode, batch))
	}
	return batch, nil
}

// keepSilent polls but answers nothing until ctx ends. It counts the requests that it takes.
func (o *owner) keepSilent(ctx context.Context, taken *atomic.Int64) {
	for ctx.Err() == nil {
		batch, err := o.poll(ctx)
		if err != nil {
			return
		}
		taken.Add(int64(bytes.Count(batch, []byte(`"type":"request"`))))
	}
}

// post sends content to {responses} and names the end: the status, and the result of the first message or the
// code of the problem.
func (o *owner) post(ctx context.Context, content []byte) string {
	return endOfAnswers(o.client.Do(o.request(ctx, http.MethodPost, o.Responses, content)))
}

// pour posts content to a path from an address, and names the end as post does. It reads while it sends,
// since the gateway may refuse content before it has everything.
func (o *owner) pour(from source, path string, content []byte) string {
	c, err := from.dialer().Dial("tcp", o.gateway.address)
	if err != nil {
		return endOfError(err)
	}
	sent := make(chan struct{})
	defer func() { <-sent }()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(visitTime))
	go func() {
		defer close(sent)
		_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			path, domain, o.Token, len(content))
		_, _ = c.Write(content) // the answer reports failures
	}()
	return endOfAnswers(http.ReadResponse(bufio.NewReader(c), nil))
}

// endOfAnswers names how a POST of answers ended.
func endOfAnswers(resp *http.Response, err error) string {
	if err != nil {
		return endOfError(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return endOfError(err)
	}
	var results schema.Results
	if resp.StatusCode == http.StatusAccepted && json.Unmarshal(got, &results) == nil && len(results.Results) > 0 {
		return "202 " + string(results.Results[0].Status)
	}
	return endOf(resp.StatusCode, got)
}

// letGo gives a claim up, from the address of honest programs: anyone with the token may.
func (w *world) letGo(of schema.ClaimAnswer) {
	w.t.Helper()
	o := &owner{gateway: w.gateway, client: programs.client(w.gateway), ClaimAnswer: of}
	resp, err := o.client.Do(o.request(w.t.Context(), http.MethodDelete, o.Claim, nil))
	if end := endOfResponse(resp, err); end != "204" {
		w.t.Errorf("DELETE %s = %s, want 204", o.Claim, end)
	}
}

// path returns the path of a URL of the control origin.
func path(url string) string { return strings.TrimPrefix(url, "http://"+domain) }
