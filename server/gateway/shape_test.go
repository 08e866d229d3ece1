package gateway

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
)

// members returns an object with n members.
func members(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"m` + strconv.Itoa(i) + `":{"a":1}`)
	}
	return b.String() + "}"
}

func TestFieldsAreCountedBeforeTheyAreAllocated(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(get(host, "/"))
		r := p.next()
		for _, list := range []string{"headers", "trailers"} {
			raw := `{"type":"response","status":200,"` + list + `":[` + strings.Repeat(`["",""],`, 200_000) + `["",""]],"id":"` + r.ID + `"}`
			if allocated := testing.AllocsPerRun(1, func() { _, _ = answer.Decode([]byte(raw), 64, 256) }); allocated > 5_000 {
				t.Errorf("%d bytes of %s made %.0f allocations, want few", len(raw), list, allocated)
			}
			got := p.answer(json.RawMessage(raw))
			if got.Status != schema.ResultInvalid || got.ID != r.ID || got.Pointer == nil || *got.Pointer != "/"+list {
				t.Errorf("too many %s = %+v, want invalid at /%s", list, got, list)
			}
		}
		p.respond(schema.Response{ID: r.ID, Status: 204}) // the exchange stays open
		if got := v.await(); got.Status != 204 {
			t.Errorf("visitor got %d, want 204", got.Status)
		}
	})
}

func TestTooComplexJSONIsRefusedAtEveryDoor(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, raw := range []string{strings.Repeat(`{"x":`, 40) + `1` + strings.Repeat(`}`, 40), members(envelope.MostMembers + 1)} {
			for _, c := range []struct{ method, url string }{{"POST", "/claims"}, {"PATCH", p.Claim}, {"POST", p.Responses}} {
				got := w.send(c.method, c.url, p.Token, json.RawMessage(raw))
				if got.Status != 400 || got.code() != schema.CodeBadJSON {
					t.Errorf("%s %s = %d %s, want 400 bad_json", c.method, c.url, got.Status, got.Content)
				}
			}
		}
	})
}
