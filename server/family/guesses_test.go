package family

import (
	"bufio"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

const (
	longToken = "sixteen-letters-"
	wrongOne  = "a-guess-of-a-token"
)

// shows are the requests with which a program of each door sends a token for demo.
var shows = map[string]func(token string) string{
	"reversehttp":          func(token string) string { return post("/reversehttp", formMedia, "name=demo&token="+token) },
	"reversehttp, by poll": func(token string) string { return get(fresh(token)) },
	"comet2008":            func(token string) string { return strings.Replace(queued(""), "Bearer t0", "Bearer "+token, 1) },
	"ptth":                 func(token string) string { return strings.Replace(turnHead, "Bearer t0", "Bearer "+token, 1) },
	"ptth, as a password": func(token string) string {
		return strings.Replace(turnHead, "Bearer t0", "Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+token)), 1)
	},
	"device": func(token string) string { return strings.Replace(deviceHead, "Bearer t0", "Bearer "+token, 1) },
	"ietfPtth": func(token string) string {
		return "GET /.well-known/ptth/http%3A%2F%2Fdemo.localhost%3A8080/ HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer " + token + "\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: http%2F1.1\r\n\r\n"
	},
}

// fresh is the path of a Request URL of demo that a poll opens.
func fresh(token string) string {
	at := claim.NewPlace(reverseHTTPName)
	return privatePath(token) + "/" + at.Session + "/" + at.Cursor
}

// privatePath is the path of the private URL of demo.
func privatePath(token string) string {
	return "/reversehttp/demo/" + base64.RawURLEncoding.EncodeToString([]byte(token))
}

// owner claims demo at an address, for another program.
func (b *bubble) owner(at string) {
	b.t.Helper()
	if _, err := b.g.Registry().Open(netip.MustParseAddr(at), "demo", longToken, claim.Settings{}); err != nil {
		b.t.Fatal(err)
	}
}

func TestAShortTokenCannotClaimAtAnyDoor(t *testing.T) {
	for name, show := range shows {
		t.Run(name, func(t *testing.T) {
			amongStrangers(t, gateway.Options{}, func(b *bubble) {
				if got := b.ask(show(longToken[1:])); got.StatusCode != 400 || got.code() != "bad_token" || !strings.Contains(got.body, "16 characters") {
					t.Errorf("15 characters = %d %s, want bad_token", got.StatusCode, got.body)
				}
				if b.g.Registry().Lookup("demo") != nil {
					t.Error("it claimed the label")
				}
				if got := b.ask(show(longToken)); got.StatusCode >= 400 || b.g.Registry().Lookup("demo") == nil {
					t.Errorf("16 characters = %d %s, want it claimed", got.StatusCode, got.body)
				}
			})
		})
	}
}

func TestAClaimKeepsItsShortTokenAtEveryDoor(t *testing.T) {
	for name, show := range shows {
		t.Run(name, func(t *testing.T) {
			kept := claim.Kept{Record: claim.Record{Label: "demo", Token: claim.HashToken("t"), Terms: claim.Terms{Lease: 60e9, Timeout: 60e9, Redeliver: claim.RedeliverIdempotent}}}
			amongStrangers(t, gateway.Options{Kept: []claim.Kept{kept}}, func(b *bubble) {
				if got := b.ask(show("t")); got.StatusCode >= 400 {
					t.Errorf("the token of a claim that was kept = %d %s, want a session", got.StatusCode, got.body)
				}
			})
		})
	}
}

func TestOnlyTheSharedTokenMayBeShort(t *testing.T) {
	amongStrangers(t, gateway.Options{SharedTokens: []string{SharedToken}, Doors: Doors(Options{SharedToken: true})}, func(b *bubble) {
		for token, want := range map[string]int{"-": 201, "--": 400, "": 201} {
			if got := b.ask(post("/reversehttp", formMedia, "name=of"+strings.Repeat("x", len(token))+"&token="+token)); got.StatusCode != want {
				t.Errorf("%q = %d %s, want %d", token, got.StatusCode, got.body, want)
			}
		}
	})
}

func TestAClaimCannotChangeToAShortToken(t *testing.T) {
	amongStrangers(t, gateway.Options{}, func(b *bubble) {
		b.register("name=demo&token=" + longToken)
		put := func(token string) *heard {
			return b.ask(strings.Replace(post(privatePath(longToken), formMedia, "token="+token), "POST", "PUT", 1))
		}
		if got := put("short"); got.code() != "bad_token" {
			t.Errorf("PUT of a short token = %d %s, want bad_token", got.StatusCode, got.body)
		}
		if got := put("another-" + longToken); got.StatusCode != 204 {
			t.Errorf("PUT of a long token = %d %s, want 204", got.StatusCode, got.body)
		}
	})
}

func TestWrongTokensAreCountedAtEveryDoor(t *testing.T) {
	all := maps.Clone(shows)
	all["private URL"] = func(token string) string { return get(privatePath(token)) }
	for name, show := range all {
		t.Run(name, func(t *testing.T) {
			amongStrangers(t, gateway.Options{}, func(b *bubble) {
				b.owner("192.0.2.1")
				for i := range 10 {
					if got := b.ask(show(wrongOne)); got.StatusCode != 403 {
						t.Fatalf("guess %d = %d %s, want 403", i, got.StatusCode, got.body)
					}
				}
				for _, token := range []string{wrongOne, longToken} {
					if got := b.ask(show(token)); got.code() != "rate_limited" || got.Header.Get("Retry-After") != "60" {
						t.Errorf("%s after ten = %d %q %s, want rate_limited for a minute", token, got.StatusCode, got.Header.Get("Retry-After"), got.body)
					}
				}
				elsewhere := b.dial("192.0.2.1:7")
				if got := elsewhere.ask(show(longToken)); got.StatusCode >= 400 {
					t.Errorf("the owner at another address = %d %s, want to be let in", got.StatusCode, got.body)
				}
			})
		})
	}
}

// guess sends ten wrong tokens from the address of all peers.
func (b *bubble) guess() {
	b.t.Helper()
	for range 10 {
		b.ask(post("/reversehttp", formMedia, "name=demo&token="+wrongOne)).is(b.t, 403, "*")
	}
	if got := b.ask(get(privatePath(longToken))); got.code() != "rate_limited" {
		b.t.Fatalf("after ten wrong tokens: %d %s", got.StatusCode, got.body)
	}
}

func TestOpenPollsContinueWhileOthersGuess(t *testing.T) {
	t.Run("reversehttp", func(t *testing.T) {
		amongStrangers(t, gateway.Options{}, func(b *bubble) {
			at := b.register("name=demo&token=" + longToken)
			b.guess()
			for range 3 {
				v := b.visit("demo", "GET", "/x")
				got := b.ask(get(at))
				got.is(t, 200, "*")
				b.reply(at, okay)
				v.wait().is(t, 200, "ok")
				at = got.link("next")
			}
			if got := b.ask(get(fresh(longToken))); got.code() != "rate_limited" {
				t.Errorf("another session = %d %s, want rate_limited", got.StatusCode, got.body)
			}
			// A stranger who knows the session, but not its token, learns nothing, here or elsewhere.
			guessed := strings.Replace(at, privatePath(longToken), privatePath(wrongOne), 1)
			if got := b.ask(get(guessed)); got.code() != "rate_limited" {
				t.Errorf("a guess for the session = %d %s, want rate_limited", got.StatusCode, got.body)
			}
			if got := b.ask(post(guessed, "message/http", okay)); got.code() != "rate_limited" {
				t.Errorf("a guess by a reply = %d %s, want rate_limited", got.StatusCode, got.body)
			}
		})
	})
	t.Run("comet2008", func(t *testing.T) {
		amongStrangers(t, gateway.Options{}, func(b *bubble) {
			ask := func(content string) string { return strings.Replace(queued(content), "t0", longToken, 1) }
			poll := b.begin(ask(""))
			v := b.visit("demo", "GET", "/1")
			e := eventIn(t, poll.wait())
			b.guess()
			poll = b.begin(ask(`{"message-id":"` + e.ID + `","status":200,"body":"one"}`))
			v.wait().is(t, 200, "one")
			v = b.visit("demo", "GET", "/2")
			e = eventIn(t, poll.wait())
			b.begin(ask(`{"message-id":"` + e.ID + `","status":200,"body":"two"}`))
			v.wait().is(t, 200, "two")
		})
	})
	t.Run("comet2008, of another address", func(t *testing.T) {
		amongStrangers(t, gateway.Options{}, func(b *bubble) {
			ask := strings.Replace(queued(""), "t0", longToken, 1)
			poll := b.beginFrom("192.0.2.1:7", ask)
			b.visit("demo", "GET", "/1")
			eventIn(t, poll.wait())
			b.guess()
			if got := b.ask(ask); got.code() != "rate_limited" { // though an idle session is available
				t.Errorf("who has no session = %d %s, want rate_limited", got.StatusCode, got.body)
			}
		})
	})
	t.Run("ptth", func(t *testing.T) {
		amongStrangers(t, gateway.Options{}, func(b *bubble) {
			l := b.dial(visitorAt)
			l.ask(shows["ptth"](longToken)).is(t, 101, "")
			b.guess()
			v := b.visit("demo", "GET", "/x")
			if r, err := http.ReadRequest(bufio.NewReader(l.in)); err != nil || r.RequestURI != "/x" {
				t.Fatalf("request %v %v, want /x", r, err)
			}
			_, _ = io.WriteString(l.Conn, okay)
			v.wait().is(t, 200, "ok")
		})
	})
}

func TestGuessesForTheKeyOfADeviceCountToo(t *testing.T) {
	o := gateway.Options{Owned: map[string]string{"demo": "k_demo"}, Doors: Doors(Options{Devices: []Device{{"demo", "k_demo"}}})}
	turn := func(key string) string {
		return "POST /ptth/" + key + " HTTP/1.1\r\n" + upgradeFields + "\r\n"
	}
	for name, guess := range map[string]string{"no label": turn("k_dem"), "a label": turn("k-demo"), "no label, and a token": strings.Replace(turn("k_dem"), "\r\n\r\n", "\r\nAuthorization: Bearer of-somebody\r\n\r\n", 1)} {
		t.Run(name, func(t *testing.T) {
			amongStrangers(t, o, func(b *bubble) {
				open := b.dial(visitorAt)
				open.ask(turn("k_demo")).is(t, 101, "")
				for i := range 10 {
					if got := b.ask(guess); got.StatusCode != 400 && got.StatusCode != 401 {
						t.Fatalf("guess %d = %d %s", i, got.StatusCode, got.body)
					}
				}
				for _, ask := range []string{guess, turn("k_demo")} {
					if got := b.ask(ask); got.code() != "rate_limited" {
						t.Errorf("after ten = %d %s, want rate_limited", got.StatusCode, got.body)
					}
				}
				b.dial("192.0.2.1:7").ask(turn("k_demo")).is(t, 101, "")
			})
		})
	}
	amongStrangers(t, gateway.Options{}, func(b *bubble) { // if no device is listed, no path is a key
		for range 20 {
			if got := b.ask(turn("demo")); got.code() != "token_needed" {
				t.Fatalf("without a token = %d %s, want token_needed", got.StatusCode, got.body)
			}
		}
	})
}

func TestALabelOfAnAccountCannotBeClaimedAtAnyDoor(t *testing.T) {
	for name, show := range shows {
		t.Run(name, func(t *testing.T) {
			key := account.NewKey()
			accounts, err := account.Parse([]byte(`{"accounts":[{"name":"ann","keys":["` + account.Hash(key) + `"],"labels":["demo"]}]}`))
			if err != nil {
				t.Fatal(err)
			}
			amongStrangers(t, gateway.Options{Accounts: account.Of(accounts)}, func(b *bubble) {
				if got := b.ask(show(longToken)); got.code() != "label_reserved" || b.g.Registry().Lookup("demo") != nil {
					t.Errorf("a stranger = %d %s, want label_reserved", got.StatusCode, got.body)
				}
				if got := b.ask(show(key)); got.code() != "label_reserved" {
					t.Errorf("a key in place of the token = %d %s, want label_reserved", got.StatusCode, got.body)
				}
				content := `{"label":"demo","token":"` + longToken + `"}`
				claim := strings.Replace(post("/claims", "application/json", content), "\r\n", "\r\nAuthorization: Bearer "+key+"\r\n", 1)
				if got := b.ask(claim); got.StatusCode != 201 {
					t.Fatalf("the account = %d %s", got.StatusCode, got.body)
				}
				if got := b.ask(show(longToken)); got.StatusCode >= 400 {
					t.Errorf("with the token of its claim = %d %s, want a session", got.StatusCode, got.body)
				}
			})
		})
	}
}

func TestAReleasedLabelIsReservedAtEveryDoor(t *testing.T) {
	for name, show := range shows {
		t.Run(name, func(t *testing.T) {
			amongStrangers(t, gateway.Options{}, func(b *bubble) {
				b.owner("192.0.2.99")
				if err := b.g.Registry().Lookup("demo").Delete(); err != nil {
					t.Fatal(err)
				}
				if got := b.ask(show(wrongOne)); got.StatusCode != 403 || got.code() != "label_taken" {
					t.Errorf("another token = %d %s, want label_taken", got.StatusCode, got.body)
				}
				if got := b.ask(show(longToken)); got.StatusCode >= 400 || b.g.Registry().Lookup("demo") == nil {
					t.Errorf("its token = %d %s, want it claimed", got.StatusCode, got.body)
				}
			})
		})
	}
}
