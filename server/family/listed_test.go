package family

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

const upgradeFields = "Host: localhost:8080\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n"

func TestAListedDeviceServesOnlyItsLabel(t *testing.T) {
	for name, path := range map[string]string{"device": "/", "ptth": "/ptth/"} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, gateway.Options{Keys: []string{"k"}, Owned: map[string]string{"other": "k-other", "demo": "k-demo"}, Doors: Doors(Options{Devices: []Device{{"other", "k-other"}, {"demo", "k-demo"}}})})
			asks := "POST " + path + "k-demo HTTP/1.1\r\n" + strings.ReplaceAll(upgradeFields, "localhost:8080", "{host}") + "\r\n"
			served := make(chan struct{})
			w.ends.Go(func() {
				defer close(served)
				// Whatever else it sends, its key is not a label.
				conn, resp := w.send(strings.Replace(asks, "\r\n\r\n", "\r\nAuthorization: Bearer of-somebody\r\n\r\n", 1))
				if resp.StatusCode != 101 {
					t.Errorf("the device got %d, want 101", resp.StatusCode)
					return
				}
				if r := conn.request(); r.RequestURI != "/x" {
					t.Errorf("target %q, want /x", r.RequestURI)
				}
				_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nfrom the device")
				_ = conn.Close()
			})
			waitFor(t, func() bool { return w.Registry().Stats().Polls == 1 })
			if _, err := w.Registry().Open(netip.Addr{}, "other", "of-a-stranger", claim.Settings{}); !errors.Is(err, claim.ErrLabelReserved) {
				t.Errorf("a stranger who claims the label of a device that is off: %v, want ErrLabelReserved", err)
			}
			if c := w.Registry().Lookup("demo"); c == nil || !c.Owns("k-demo") {
				t.Error("demo is not claimed with its token")
			}
			w.visit("GET", "demo", "/x", "").got(200, "from the device")
			<-served
			if w.Registry().Lookup("k-demo") != nil || w.Registry().Lookup("other") != nil {
				t.Error("it claimed another label")
			}
			for _, wrong := range []string{"demo", "k-dem", "k-demo2", "other", "nobody"} {
				if _, resp := w.send(strings.Replace(asks, "k-demo ", wrong+" ", 1)); resp.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s without a token = %d, want 401", wrong, resp.StatusCode)
				}
			}
		})
	}
}

func TestAListedProgramOfCOMETServesItsLabel(t *testing.T) {
	inBubble(t, gateway.Options{Doors: Doors(Options{Devices: []Device{{"demo", "k-demo"}}})}, func(b *bubble) {
		ask := func(content string) string {
			return strings.Replace(strings.Replace(queued(content), "/comet/demo", "/comet/k-demo", 1), "Authorization: Bearer t0\r\n", "", 1)
		}
		poll := b.begin(ask(""))
		v := b.visit("demo", "GET", "/x")
		e := eventIn(t, poll.wait())
		if e.Target != "/x" {
			t.Errorf("event = %+v", e)
		}
		b.begin(ask(`{"message-id":"` + e.ID + `","status":200,"body":"ok"}`))
		v.wait().is(t, 200, "ok")
		if got := b.ask(strings.Replace(ask(""), "k-demo", "demo", 1)); got.code() != "token_needed" {
			t.Errorf("the label without a token = %d %s, want token_needed", got.StatusCode, got.body)
		}
	})
}

// The log says once, at the first refusal, what an operator can do, and contains no token.
func TestTheFirstRefusalIsLoggedWithWhatToDo(t *testing.T) {
	for name, c := range map[string]struct{ ask, says string }{
		"the shared token": {post("/reversehttp", formMedia, "name=demo&token=-"), "--shared-token"},
		"no token, COMET":  {strings.Replace(queued(""), "Authorization: Bearer t0\r\n", "", 1), "--family-device demo=TOKEN"},
		"no token, PTTH":   {"POST /ptth/demo HTTP/1.1\r\n" + upgradeFields + "\r\n", "--family-device demo=TOKEN"},
		"no token, device": {"POST /demo HTTP/1.1\r\n" + upgradeFields + "\r\n", "--family-device demo=TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			inBubble(t, gateway.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(b *bubble) {
				for range 3 {
					if got := b.ask(c.ask); got.StatusCode != 400 && got.StatusCode != 401 {
						t.Errorf("refused with %d %s", got.StatusCode, got.body)
					}
				}
			})
			if n := strings.Count(log.String(), c.says); n != 1 || !strings.Contains(log.String(), "level=WARN") {
				t.Errorf("the log says %s %d times, want once:\n%s", c.says, n, log.String())
			}
		})
	}
}
