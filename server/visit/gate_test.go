package visit

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
)

// gated is a claim behind gates.
type gated struct {
	*claim.Session
	url  string
	seen chan *claim.Request // by the program
}

// behind claims demo. Its program, if there is one, answers each request with 200, its target and its
// content.
func behind(t *testing.T, gates Gates, served bool) *gated {
	public, err := publicurl.Parse("http://{label}.localhost:8080/")
	if err != nil {
		t.Fatal(err)
	}
	registry := claim.New(claim.Options{Times: claim.Times{NoPoller: time.Millisecond}})
	v := &Visits{Registry: registry, Public: public, Rate: admission.NewRate(-1), ContentRate: 1 << 20, ContentPause: time.Minute, InlineBytes: 1000, ContentBytes: 1 << 20, Gates: gates}
	o, err := registry.Open(netip.Addr{}, "demo", "", claim.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hold := registry.Options().Budget.Open(netip.Addr{})
		defer hold.Close()
		v.Serve(w, r, "demo", v.Registry.Lookup("demo"), hold)
	}))
	g := &gated{Session: o.Session, url: s.URL, seen: make(chan *claim.Request, 8)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for served && ctx.Err() == nil {
			p, err := o.Session.Open(nil, time.Minute, claim.Flow{})
			if err != nil {
				return
			}
			batch, _, err := p.Next(ctx, time.Time{}, nil)
			if err != nil || batch == nil {
				return
			}
			for _, m := range batch.Messages {
				if m.Cancel != "" {
					continue
				}
				req := m.Exchange.Request()
				g.seen <- req
				content := req.Target + " " + g.contentOf(t, m.Exchange)
				_, _ = o.Session.Delivery(m.Exchange.ID()).Answer(&claim.Answer{Status: 200, Content: []byte(content)}, nil)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		s.Close()
		registry.Close()
	})
	if !served {
		if err := o.Session.End(nil, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // the gateway no longer waits for a program
	}
	return g
}

// contentOf reads the content of a request like its program, with the trailers after it.
func (g *gated) contentOf(t *testing.T, x *claim.Exchange) string {
	content := x.Request().Content
	if content.Streams() {
		if _, err := g.Delivery(x.ID()).Fetch(); err != nil {
			t.Error(err)
		}
	}
	all, err := io.ReadAll(content.Open())
	if err != nil {
		t.Error(err)
	}
	for _, f := range content.Trailers() {
		all = append(all, " "+f.Name+"="+f.Value...)
	}
	return string(all)
}

// visit sends a request and checks the answer.
func (g *gated) visit(t *testing.T, method, target, content string, status int, want string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, g.url+target, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Secret", "of the visitor")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || want != "" && string(got) != want {
		t.Errorf("%s %s = %d %q %v, want %d %q", method, target, resp.StatusCode, got, err, status, want)
	}
	return resp
}

func TestAGateCanAnswerInsteadOfTheProgram(t *testing.T) {
	g := behind(t, Gates{Judge: func(c *claim.Claim, head *claim.Request, _ []string) Verdict {
		if head.Content != nil {
			t.Error("the gate is given content")
		}
		if strings.HasPrefix(head.Target, "/open") {
			return Verdict{}
		}
		return Verdict{Answer: &claim.Answer{Status: 401, Fields: []claim.Field{{Name: "WWW-Authenticate", Value: "Basic"}}, Content: []byte("who are you at " + c.Label())}}
	}}, true)
	resp := g.visit(t, "POST", "/closed", strings.Repeat("x", 100_000), 401, "who are you at demo")
	if resp.Header.Get("WWW-Authenticate") != "Basic" || resp.Header.Get("Via") == "" {
		t.Errorf("fields %v", resp.Header)
	}
	g.visit(t, "POST", "/open", "x", 200, "/open x")
	if got := <-g.seen; got.Target != "/open" {
		t.Errorf("the program was asked for %s", got.Target)
	}
}

func TestAGateCanChangeTheListedPartsOfARequest(t *testing.T) {
	g := behind(t, Gates{Judge: func(*claim.Claim, *claim.Request, []string) Verdict {
		return Verdict{Target: "/inner", Drop: []string{"x-secret"}, Set: []claim.Field{{Name: "X-Visitor", Value: "somebody"}, {Name: "User-Agent", Value: "a gate"}, {Name: "Idempotency-Key", Value: "k"}}}
	}}, true)
	g.visit(t, "POST", "/outer?q", "x", 200, "/inner x")
	req := <-g.seen
	values := map[string][]string{}
	for _, f := range req.Fields {
		values[f.Name] = append(values[f.Name], f.Value)
	}
	if values["X-Secret"] != nil || strings.Join(values["X-Visitor"], ",") != "somebody" || strings.Join(values["User-Agent"], ",") != "a gate" {
		t.Errorf("fields %v", req.Fields)
	}
	if !req.Keyed {
		t.Error("the core did not get the key")
	}
	if !strings.HasSuffix(req.URL, "/inner") || strings.Contains(req.URL, "outer") {
		t.Errorf("url %s", req.URL)
	}
}

func TestAGateCanJudgeContentBeforeTheProgramGetsIt(t *testing.T) {
	var judged []string
	g := behind(t, Gates{Judge: func(*claim.Claim, *claim.Request, []string) Verdict {
		return Verdict{Hold: 50_000, Then: func(content []byte) Verdict {
			judged = append(judged, string(content))
			if strings.HasPrefix(string(content), "bad") {
				return Verdict{Answer: &claim.Answer{Status: 403, Content: []byte("no")}}
			}
			return Verdict{Target: "/judged"}
		}}
	}}, true)
	long := strings.Repeat("x", 50_000) // more than one read returns
	g.visit(t, "POST", "/", long, 200, "/judged "+long)
	g.visit(t, "GET", "/", "", 200, "/judged ")
	g.visit(t, "POST", "/", "bad", 403, "no")
	g.visit(t, "POST", "/", long+"x", 413, "")
	if len(judged) != 3 || judged[0] != long || judged[2] != "bad" {
		t.Errorf("judged %d contents", len(judged))
	}
	if len(g.seen) != 2 {
		t.Errorf("the program was asked %d times, want 2", len(g.seen))
	}
}

func TestContentThatAGateHeldKeepsItsTrailers(t *testing.T) {
	g := behind(t, Gates{Judge: func(*claim.Claim, *claim.Request, []string) Verdict {
		return Verdict{Hold: 50_000, Then: func([]byte) Verdict { return Verdict{} }}
	}}, true)
	for _, sum := range []string{"abc", ""} {
		req, err := http.NewRequest("POST", g.url+"/", strings.NewReader("content"))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = -1
		want := "/ content"
		if req.Trailer = (http.Header{"X-Sum": nil}); sum != "" {
			req.Trailer.Set("X-Sum", sum)
			want += " X-Sum=" + sum
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("the program had %q %v, want %q", got, err, want)
		}
		announced := slices.ContainsFunc((<-g.seen).Fields, func(f claim.Field) bool { return f.Name == "Trailer" })
		if announced != (sum != "") {
			t.Errorf("with trailer %q the field that announces it is there: %v", sum, announced)
		}
	}
}

func TestAbsentAnswersIfThereIsNoProgram(t *testing.T) {
	asked := 0
	answers := func(_ *claim.Claim, r *claim.Request) *claim.Answer {
		asked++
		if r.Target == "/nothing" {
			return nil
		}
		return &claim.Answer{Status: 200, Content: []byte("back soon: " + r.Target)}
	}
	g := behind(t, Gates{Absent: answers}, false)
	g.visit(t, "POST", "/here", strings.Repeat("x", 100_000), 200, "back soon: /here")
	g.visit(t, "GET", "/nothing", "", 503, "")
	if asked != 2 {
		t.Errorf("it was asked %d times, want once a request", asked)
	}
}
