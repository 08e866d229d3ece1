package gateway

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestAPanicIsLoggedAndCutsTheConnection(t *testing.T) {
	var log safeBuffer
	pages := map[string]http.Handler{
		"/bug": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("half a page"))
			panic("a bug of ours")
		}),
		"/gone": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
	}
	inWorld(t, Options{Pages: pages, Log: slog.New(slog.NewTextHandler(&log, nil))}, func(w *world) {
		for range 2 {
			v := w.visit(get("localhost", "/gone?secret"))
			if <-v.done; v.got.Err == nil {
				t.Errorf("a visitor who is gone got %d %s", v.got.Status, v.got.Content)
			}
		}
		if log.String() != "" {
			t.Errorf("log = %s, want nothing of who left", log.String())
		}
		v := w.visit(get("localhost", "/bug?secret"))
		if <-v.done; v.got.Err == nil {
			t.Errorf("after a panic the answer is %d %s, want a cut", v.got.Status, v.got.Content)
		}
		if got := w.counted("reversehttp_panics_total"); !slices.Equal(got, []string{"reversehttp_panics_total 1"}) {
			t.Errorf("counted %v, want 1", got)
		}
	})
	for _, want := range []string{"level=ERROR", "a bug of ours", "panic_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log = %s, want %s in it", log.String(), want)
		}
	}
	if n := strings.Count(log.String(), "level="); n != 1 || strings.Contains(log.String(), "secret") {
		t.Errorf("log = %s, want one line, without the target", log.String())
	}
}
