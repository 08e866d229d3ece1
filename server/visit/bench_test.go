package visit

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
)

func TestWithoutGatesARequestAllocatesNothingForThem(t *testing.T) {
	registry := claim.New(claim.Options{})
	defer registry.Close()
	o, err := registry.Open(netip.Addr{}, "demo", "", claim.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	v, c := &Visits{Registry: registry}, o.Session.Claim()
	w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)
	hold := registry.Options().Budget.Open(netip.Addr{})
	defer hold.Close()
	s := &visit{Visits: v, w: w, r: r, c: c, hold: hold, req: claim.Request{Method: "POST"}}
	if n := testing.AllocsPerRun(1000, func() {
		if passed, held := s.judge(); !passed || held || s.absence() != nil {
			t.Error("a gate was called")
		}
	}); n != 0 {
		t.Errorf("%v allocations a request, want none", n)
	}
}

// BenchmarkServe measures a whole request without gates, and through gates that admit everything.
func BenchmarkServe(b *testing.B) {
	all := Gates{
		Judge:  func(*claim.Claim, *claim.Request, []string) Verdict { return Verdict{} },
		Absent: func(*claim.Claim, *claim.Request) *claim.Answer { return nil },
	}
	for _, one := range []struct {
		name  string
		gates Gates
	}{{"no gates", Gates{}}, {"open gates", all}} {
		b.Run(one.name, func(b *testing.B) {
			public, err := publicurl.Parse("http://{label}.localhost:8080/")
			if err != nil {
				b.Fatal(err)
			}
			registry := claim.New(claim.Options{})
			v := &Visits{Registry: registry, Public: public, Rate: admission.NewRate(-1), ContentRate: 1 << 20, ContentPause: time.Minute, InlineBytes: 1000, ContentBytes: 1 << 20, Gates: one.gates}
			o, err := registry.Open(netip.Addr{}, "demo", "", claim.Settings{})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for {
					p, err := o.Session.Open(nil, time.Minute, claim.Flow{})
					if err != nil {
						return
					}
					batch, _, err := p.Next(ctx, time.Time{}, nil)
					if err != nil {
						return
					}
					for _, m := range batch.Messages {
						_, _ = o.Session.Delivery(m.ID).Answer(&claim.Answer{Status: 204}, nil)
					}
				}
			}()
			b.ReportAllocs()
			for b.Loop() {
				w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
				hold := registry.Options().Budget.Open(netip.Addr{})
				v.Serve(w, r, "demo", v.Registry.Lookup("demo"), hold)
				hold.Close()
				if w.Code != 204 {
					b.Fatalf("answered %d", w.Code)
				}
			}
			stop()
			<-ended
			registry.Close()
		})
	}
}
