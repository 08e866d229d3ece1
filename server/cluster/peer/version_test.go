package peer

import (
	"errors"
	"io"
	"net/http"
	"testing"
)

func TestNodesSpeakTheNewestVersionThatBothKnow(t *testing.T) {
	for _, c := range []struct {
		home, entry Versions
		want        int // 0: they do not talk
	}{
		{Versions{}, Versions{}, Spoken.Newest},
		{Versions{1, 1}, Versions{1, 2}, 1},
		{Versions{1, 2}, Versions{0, 1}, 1},
		{Versions{1, 2}, Versions{1, 2}, 2},
		{Versions{2, 3}, Versions{1, 2}, 2},
		{Versions{1, 1}, Versions{2, 3}, 0},
		{Versions{2, 3}, Versions{1, 1}, 0},
	} {
		p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
			if got := CallOf(r).c.version; got != c.want {
				t.Errorf("%v and %v: the home speaks version %d, want %d", c.home, c.entry, got, c.want)
			}
			_, _ = io.WriteString(w, "content")
		}, nil, func(p *pair) { p.server.Speaks, p.pool.Speaks = c.home, c.entry })
		resp, content := p.get(t)
		if c.want > 0 {
			if resp.StatusCode != http.StatusOK || content != "content" {
				t.Errorf("%v and %v: %d %q", c.home, c.entry, resp.StatusCode, content)
			}
			continue
		}
		var none *VersionError
		if err := <-p.failed; !errors.As(err, &none) || none.Node != "home" || none.Own != c.entry || none.Other != c.home {
			t.Errorf("%v and %v: %v", c.home, c.entry, err)
		}
	}
}
