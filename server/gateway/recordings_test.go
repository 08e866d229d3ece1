package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// inspected turns on recording for the claim.
func (p *program) inspected() *program {
	p.t.Helper()
	if got := p.send("PATCH", p.Claim, p.Token, schema.ClaimPatch{Inspect: new(true)}); got.Status != 200 {
		p.t.Fatalf("PATCH = %d %s", got.Status, got.Content)
	}
	return p
}

// recording returns the recording of an exchange.
func (p *program) recording(id string) (r schema.Recording) {
	p.t.Helper()
	synctest.Wait() // a goroutine may still be writing the change
	got := p.send("GET", p.Exchanges+"/"+id, p.Token, nil)
	if got.Status != 200 || json.Unmarshal(got.Content, &r) != nil {
		p.t.Fatalf("recording of %s: %d %s", id, got.Status, got.Content)
	}
	return r
}

func TestTheFramesOfAWebSocketAreRecorded(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Lease: time.Hour}}, func(w *world) {
		p := w.claim("demo").inspected()
		v, r, _, in := p.upgraded(schema.Response{})
		v.write([]byte{0x81, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2})
		if _, err := io.ReadFull(in.Body, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		p.part(schema.Part{ID: r.ID, Seq: 1, BodyBase64: new("ggEA"), More: true}, schema.ResultAccepted) // 82 01 00
		v.take(v.in, "\x82\x01\x00")
		one := p.recording(r.ID)
		want := []schema.RecordedPart{
			{AtMs: 0, From: "visitor", Bytes: 2, Opcode: "text", Final: true, Body: "hi"},
			{AtMs: 2000, From: "handler", Bytes: 1, Opcode: "binary", Final: true, Body: "\x00"},
		}
		if fmt.Sprint(one.Parts) != fmt.Sprint(want) || one.Exchange.State != "answering" || one.Exchange.Status != 101 || one.Exchange.Upgrade != "websocket" {
			t.Errorf("parts %+v of %+v, want %+v", one.Parts, one.Exchange, want)
		}
		if got := p.send("POST", p.Exchanges+"/"+r.ID+"/replay", p.Token, nil); got.code() != schema.CodeBadRequest {
			t.Errorf("replay = %d %s, want bad_request", got.Status, got.Content)
		}
		p.part(schema.Part{ID: r.ID, Seq: 2}, schema.ResultAccepted)
		v.write([]byte("the end"))
		_ = in.Body.Close()
		_ = v.conn.Close()
		time.Sleep(time.Minute)
	})
}

func TestAStreamedAnswerIsRecordedAsItComes(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo").inspected()
		_, r, head := p.begun(get(host, "/events"), schema.Response{Status: 200, Body: new("one")})
		time.Sleep(time.Second)
		p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("two"), Trailers: []schema.Field{{"Digest", "d"}}}, schema.ResultAccepted)
		if _, err := io.ReadAll(head.Body); err != nil {
			t.Fatal(err)
		}
		one := p.recording(r.ID)
		if len(one.Parts) != 2 || one.Parts[1].AtMs-one.Parts[0].AtMs != 1000 || one.Response.Body != "onetwo" || len(one.Response.Trailers) != 1 || *one.Exchange.DoneMs-*one.Exchange.FirstByteMs != 1000 {
			t.Errorf("%+v", one)
		}
	})
}

func TestInterimResponsesAreRecorded(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo").inspected()
		w.visit(get(host, "/"))
		r := p.next()
		got := p.send("POST", p.Responses, p.Token, schema.Interim{Type: schema.TypeInterim, ID: r.ID, Status: 103, Headers: []schema.Field{{"Link", "</a>"}}})
		if got.Status != 202 {
			t.Fatalf("%d %s", got.Status, got.Content)
		}
		p.respond(schema.Response{ID: r.ID, Status: 204})
		if one := p.recording(r.ID); len(one.Interims) != 1 || one.Interims[0].Status != 103 || one.Interims[0].Headers[0][1] != "</a>" {
			t.Errorf("%+v", one.Interims)
		}
	})
}

// A visitor who leaves while sending content leaves a request that cannot be replayed.
func TestARequestThatBrokeOffIsCut(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo").inspected()
		v := w.dial(visitorAddr)
		v.write([]byte("POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"))
		r := p.next()
		in := p.fetch(r)
		if _, err := io.ReadFull(in.Body, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		_ = v.conn.Close()
		time.Sleep(time.Second)
		one := p.recording(r.ID)
		if one.Exchange.Outcome != "abandoned" && one.Exchange.Outcome != "failed" || !one.Exchange.RequestCut || one.Request.Body != "abc" {
			t.Errorf("%+v", one)
		}
		if got := p.send("POST", p.Exchanges+"/"+r.ID+"/replay", p.Token, nil); got.Status != 409 || got.code() != schema.CodeRecordingCut {
			t.Errorf("replay = %d %s, want recording_cut", got.Status, got.Content)
		}
		if got := p.send("POST", p.Exchanges+"/"+r.ID+"/replay", p.Token, schema.ReplayRequest{Body: new("other")}); got.Status != 202 {
			t.Errorf("replay with other content = %d %s, want 202", got.Status, got.Content)
		}
	})
}

// A program that does not poll does not delay the owner: the replay waits like a visitor, and its end is
// recorded.
func TestAReplayWithoutAnAnswerEnds(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo").inspected()
		w.visit(get(host, "/"))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200})
		got := p.send("POST", p.Exchanges+"/"+r.ID+"/replay", p.Token, nil)
		var answer schema.ReplayAnswer
		if err := json.Unmarshal(got.Content, &answer); err != nil || got.Status != 202 {
			t.Fatalf("%d %s", got.Status, got.Content)
		}
		time.Sleep(6 * time.Second)
		if one := p.recording(answer.ID); one.Exchange.Outcome != "failed" || one.Exchange.Code != "no_handler" || *one.Exchange.DoneMs != 5000 {
			t.Errorf("%+v, want no_handler after 5 s", one.Exchange)
		}
	})
}

func TestStreamsOfRecordingsAreBoundedAndEnd(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		accept := schema.Field{"Accept", "application/x-ndjson"}
		if got := p.send("GET", p.Exchanges, p.Token, nil, accept); got.code() != schema.CodeNoExchange {
			t.Errorf("without recordings: %d %s", got.Status, got.Content)
		}
		p.inspected()
		var all []*call
		for range 16 {
			all = append(all, w.begin(p.request("GET", p.Exchanges, p.Token, nil, accept)))
			synctest.Wait()
		}
		if got := p.send("GET", p.Exchanges, p.Token, nil, accept); got.Status != 429 || got.code() != schema.CodeQuotaExceeded {
			t.Errorf("the 17th: %d %s, want quota_exceeded", got.Status, got.Content)
		}
		all[0].stop()
		synctest.Wait()
		all[0] = w.begin(p.request("GET", p.Exchanges, p.Token, nil, accept))
		synctest.Wait()
		w.visit(get(host, "/a"))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200})
		<-w.stops()
		for i, c := range all {
			<-c.done
			lines := bufio.NewScanner(strings.NewReader(string(c.got.Content)))
			last := ""
			for lines.Scan() {
				last = lines.Text()
			}
			if !strings.Contains(last, `"state":"ended"`) {
				t.Fatalf("stream %d ended with %q: %d %v", i, last, c.got.Status, c.got.Err)
			}
		}
	})
}

// A claim's record turns recording on again; the recordings themselves end with the gateway.
func TestAClaimThatComesBackIsRecorded(t *testing.T) {
	others, err := terms.Kept(map[string]json.RawMessage{terms.Inspect: json.RawMessage("true")})
	if err != nil {
		t.Fatal(err)
	}
	kept := claim.Kept{Record: claim.Record{Label: "demo", Token: claim.HashToken("t0"), Terms: claim.Terms{Lease: time.Minute, Timeout: time.Minute, Redeliver: claim.RedeliverIdempotent, Others: others}}, Revision: 1}
	inWorld(t, Options{Kept: []claim.Kept{kept}}, func(w *world) {
		got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: new("demo"), Token: new("t0")})
		var a schema.ClaimAnswer
		if err := json.Unmarshal(got.Content, &a); err != nil || !a.Inspect {
			t.Fatalf("%d %s, want inspect", got.Status, got.Content)
		}
	})
}

// A replay of an endless answer is bounded, and does not delay a gateway that stops.
func TestAReplayEndsWithoutItsAnswer(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Part: time.Hour, Lease: time.Hour}}, func(w *world) {
		p := w.claim("demo").inspected()
		v := w.visit(get(host, "/events"))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200})
		v.await()
		replayed := func() schema.Request {
			t.Helper()
			if got := p.send("POST", p.Exchanges+"/"+r.ID+"/replay", p.Token, nil); got.Status != 202 {
				t.Fatalf("replay = %d %s", got.Status, got.Content)
			}
			x := p.next()
			p.respond(schema.Response{ID: x.ID, Status: 200, More: true, Body: new("event")})
			return x
		}
		x := replayed()
		time.Sleep(59 * time.Second)
		if one := p.recording(x.ID); one.Exchange.State != "answering" {
			t.Errorf("before the time of the claim is over: %+v", one.Exchange)
		}
		time.Sleep(2 * time.Second)
		if one := p.recording(x.ID); one.Exchange.Outcome != "abandoned" {
			t.Errorf("after it: %+v", one.Exchange)
		}
		x = replayed()
		p.part(schema.Part{ID: x.ID, Seq: 1, Body: new("more"), More: true}, schema.ResultAccepted)
		began := time.Now()
		<-w.stops()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the gateway stopped after %v, held up by a replay", took)
		}
	})
}

// An archive is written entry by entry, and is one document.
func TestAnArchiveIsOneDocument(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo").inspected()
		for range 3 {
			w.visit(get(host, "/<a>&b"))
			r := p.next()
			p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("<b>")})
			synctest.Wait()
		}
		got := p.send("GET", p.Exchanges+"?format=har&limit=2", p.Token, nil)
		var har struct {
			Log struct {
				Entries []struct {
					Response struct{ Content struct{ Text string } }
				}
			}
		}
		if err := json.Unmarshal(got.Content, &har); err != nil || len(har.Log.Entries) != 2 || har.Log.Entries[1].Response.Content.Text != "<b>" {
			t.Errorf("%v: %s", err, got.Content)
		}
	})
}
