package family

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// guessed is a made-up Request URL, which no program got.
var guessed = claim.NewPlace(reverseHTTPName)

// openings has, for each door that a page could send a request to, the request by which a program begins to
// serve demo, and its answer.
var openings = map[string]struct {
	head, content string
	status        int
}{
	"a form of 2008":       {"POST /reversehttp HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n", "name=demo&token=t0&lease=86400", 201},
	"a form in the target": {"POST /reversehttp?name=demo&token=t0 HTTP/1.1\r\n", "", 201},
	"a Request URL":        {"GET /reversehttp/demo/dDA/" + guessed.Session + "/" + guessed.Cursor + " HTTP/1.1\r\n", "", 204},
	"COMET":                {"POST /comet/demo HTTP/1.1\r\nAuthorization: Basic OnQw\r\nContent-Type: text/plain\r\n", "", 200},
	"COMET of a device":    {"POST /comet/key-of-the-lamp HTTP/1.1\r\nContent-Type: text/plain\r\n", "", 200},
	"PTTH":                 {"POST /ptth/demo HTTP/1.1\r\nAuthorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n", "", 101},
	"PTTH of a device":     {"GET /ptth/key-of-the-lamp HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n", "", 101},
	"a device":             {"POST /key-of-the-lamp HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n", "", 204},
	"the drafts":           {"GET /.well-known/ptth/http%3A%2F%2Fdemo.localhost%3A8080/ HTTP/1.1\r\nAuthorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: http%2F1.1\r\n", "", 101},
}

// lampDoors are all doors, with a device.
var lampDoors = Doors(Options{Devices: []Device{{Label: "lamp", Token: "key-of-the-lamp"}}})

func TestPagesOfOtherOriginsAreRefusedAtEveryDoor(t *testing.T) {
	for name, door := range openings {
		t.Run(name, func(t *testing.T) {
			send := func(b *bubble, fields string) *later {
				return b.begin(fmt.Sprintf("%sHost: localhost:8080\r\n%sContent-Length: %d\r\n\r\n%s", door.head, fields, len(door.content), door.content))
			}
			inBubble(t, gateway.Options{Doors: lampDoors}, func(b *bubble) {
				for _, fields := range []string{"Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"} {
					got := send(b, fields).wait()
					if got.StatusCode != 403 || got.code() != "origin_refused" || got.Header.Get("Access-Control-Allow-Origin") != "*" {
						t.Errorf("with %q = %d %v %s, want 403 origin_refused", fields, got.StatusCode, got.Header, got.body)
					}
				}
				// A navigation may read, but not claim.
				got := send(b, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n").wait()
				if got.StatusCode != 403 || got.code() != "origin_refused" {
					t.Errorf("a navigation = %d %s, want 403 origin_refused", got.StatusCode, got.body)
				}
				if n := b.g.Registry().Stats(); n.Claims != 0 || n.Sessions != 0 {
					t.Errorf("a page of another origin claimed: %+v", n)
				}
			})
			for _, fields := range []string{"", "Origin: http://localhost:3000\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n"} {
				inBubble(t, gateway.Options{Doors: lampDoors}, func(b *bubble) {
					v := send(b, fields)
					time.Sleep(time.Minute)
					if got := v.wait(); got.StatusCode != door.status {
						t.Errorf("a program, and a page of this machine, with %q = %d %s, want %d", fields, got.StatusCode, got.body, door.status)
					}
				})
			}
		})
	}
}

// A page of an allowed origin navigates like any other, and opening the door of 2008 claims nothing.
func TestANavigationFromAnotherOriginClaimsNothing(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		b.register("name=demo&token=t0")
		for _, at := range []string{"/reversehttp", "/reversehttp/demo/dDA"} {
			got := b.ask(strings.Replace(get(at), "\r\n\r\n", "\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\r\n", 1))
			if got.StatusCode/100 != 2 {
				t.Errorf("%s = %d %s, want what is there", at, got.StatusCode, got.body)
			}
		}
	})
}

// refusesPages is a part of TestExtendedCONNECT.
func refusesPages(t *testing.T) {
	w := newTown(t, gateway.Options{})
	for _, c := range []struct{ protocol, path string }{{"ptth", ".well-known/ptth/x/"}, {"websocket", "claims/demo/sessions/x/link"}} {
		_, resp := w.connect(c.protocol, w.Public().Control+c.path, http.Header{"Authorization": {"Bearer t0"}, "Origin": {"https://evil.example"}})
		if resp.StatusCode != 403 {
			t.Errorf("%s = %d, want 403", c.protocol, resp.StatusCode)
		}
	}
}
