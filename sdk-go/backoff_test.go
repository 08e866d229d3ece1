package reversehttp

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoffDoublesToItsMostWithFullJitter(t *testing.T) {
	var b backoff
	bound, low := 200*time.Millisecond, false
	for range 200 {
		d := b.next(0)
		if d < 0 || d >= bound {
			t.Fatalf("wait = %v, want less than %v", d, bound)
		}
		low = low || d < bound/4
		bound = min(2*bound, 30*time.Second)
	}
	if !low {
		t.Error("no wait of 200 was below a quarter of its bound")
	}
	if d := b.next(time.Minute); d < time.Minute || d >= 90*time.Second {
		t.Errorf("wait = %v, want what was asked for and jitter", d)
	}
	if d := b.next(24 * time.Hour); d >= time.Hour+30*time.Second {
		t.Errorf("wait = %v, want an hour at most and jitter", d)
	}
	b.reset()
	if d := b.next(0); d >= 200*time.Millisecond {
		t.Errorf("wait after a success = %v, want less than 200ms", d)
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "99999999999": time.Hour,
			time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat):  9 * time.Second,
			time.Now().Add(9000 * time.Hour).UTC().Format(http.TimeFormat): time.Hour,
			time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):       0,
		} {
			if got := retryAfter(value); got != want {
				t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
			}
		}
	})
}
