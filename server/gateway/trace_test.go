package gateway

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/trace"
)

func TestTheLogNamesTheTraceOfAnExchange(t *testing.T) {
	const sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for begins, want := range map[trace.Begin]string{"": `^00-[0-9a-f]{32}-[0-9a-f]{16}-03$`, trace.Sampled: `-03$`, trace.Unsampled: `-02$`, trace.None: `^$`} {
		t.Run(string(begins), func(t *testing.T) {
			var log safeBuffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			inWorld(t, Options{Log: logger, Traces: begins}, func(w *world) {
				p := w.claim("demo")
				ids := map[string]bool{}
				for _, field := range []string{"X-A: b", "Traceparent: " + sent, "Traceparent: spoofed trace_id=00000000000000000000000000000001"} {
					v := w.visit(requestTo("GET", host, "/", field))
					got := p.next()
					p.answer(schema.Response{Type: "response", ID: got.ID, Status: 204})
					if r := v.await(); r.Status != 204 {
						t.Fatalf("answered %d", r.Status)
					}
					parent := ""
					if got.Trace != nil {
						parent = got.Trace.Traceparent
					}
					line := regexp.MustCompile(`msg="exchange ended".* exchange=` + regexp.QuoteMeta(got.ID) + ` .*`).FindString(log.String())
					logged, _, _ := strings.Cut(after(line, " trace_id="), " ")
					if strings.HasSuffix(field, sent) {
						if parent != sent || logged != trace.ID(sent) {
							t.Errorf("%s: %q, logged %q", field, parent, logged)
						}
						continue
					}
					if !regexp.MustCompile(want).MatchString(parent) || line == "" || logged != trace.ID(parent) || parent != "" && ids[parent] {
						t.Errorf("%s: %q, logged %q, want %s", field, parent, line, want)
					}
					ids[parent] = true
				}
			})
			if strings.Contains(log.String(), "spoofed") {
				t.Errorf("a visitor wrote to the log:\n%s", log.String())
			}
		})
	}
}

// after returns what follows a mark in s, or "".
func after(s, mark string) string {
	_, rest, _ := strings.Cut(s, mark)
	return rest
}
