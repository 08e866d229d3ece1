package gateway

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// schema/vectors/conversation.json has cases for the rules of tokens; these tests cover the rest.

const longToken = "a-token-that-is-long"

func (w *world) claimWith(label, token string) *program {
	w.t.Helper()
	got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: &label, Token: &token})
	if got.Status >= 300 {
		w.t.Fatalf("claim %s: %d %s", label, got.Status, got.Content)
	}
	return &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](w.t, got)}
}

func TestConcurrentGuessesCountLikeOthers(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claimWith("demo", longToken)
		const most = 200
		count := map[schema.Code]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for range most {
			all.Go(func() {
				got := newReply(w.client.Do(w.request("GET", p.Claim, "a-guess-of-a-token", nil)))
				mu.Lock()
				defer mu.Unlock()
				count[got.code()]++
			})
		}
		all.Wait()
		if count[schema.CodeTokenWrong] != 10 || count[schema.CodeRateLimited] != most-10 {
			t.Errorf("%d guesses at once: %v, want 10 token_wrong, and rate_limited otherwise", most, count)
		}
	})
}

// Visitors through a proxy that is not listed share one address, so one who guesses would lock out the
// others.
func TestNobodyIsLockedOutIfAllVisitorsShareAnAddress(t *testing.T) {
	for name, o := range map[string]Options{"local": {Loopback: true}, "behind a proxy": {Loopback: true, PublicURL: "http://{label}.gateway.example/"}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, o, func(w *world) {
				p := w.claimWith("demo", longToken)
				for range 20 {
					if got := w.send("GET", p.Claim, "a-guess-of-a-token", nil); got.code() != schema.CodeTokenWrong {
						t.Fatalf("a guess = %d %s, want token_wrong", got.Status, got.Content)
					}
				}
				if got := w.send("GET", p.Claim, longToken, nil); got.Status != 200 {
					t.Errorf("the owner = %d %s, want 200", got.Status, got.Content)
				}
				short := w.send("POST", "/claims", "", schema.ClaimRequest{Label: new("other"), Token: new("short")})
				if (short.Status == 201) != w.gateway.Local() {
					t.Errorf("a short token = %d, and the gateway is local: %v", short.Status, w.gateway.Local())
				}
			})
		})
	}
}

// A device's label that nobody serves also has a token, which can be guessed.
func TestGuessesForAReservedLabelCountToo(t *testing.T) {
	inWorld(t, Options{Owned: map[string]string{"lamp": "k-lamp"}}, func(w *world) {
		ask := func(token string) *reply {
			return w.send("POST", "/claims", "", schema.ClaimRequest{Label: new("lamp"), Token: &token})
		}
		for range 10 {
			if got := ask("a-guess-of-a-token"); got.code() != schema.CodeLabelReserved {
				t.Fatalf("a guess = %d %s, want label_reserved", got.Status, got.Content)
			}
		}
		if got := ask("k-lamp"); got.code() != schema.CodeRateLimited {
			t.Errorf("the right one then = %d %s, want rate_limited", got.Status, got.Content)
		}
	})
}

func TestKeptClaimsKeepShortTokens(t *testing.T) {
	records := claim.NewMemoryRecords()
	record := claim.Record{Label: "demo", Token: claim.HashToken("t"), Terms: claim.Terms{Lease: 60e9, Timeout: 60e9, Redeliver: claim.RedeliverIdempotent}}
	revision, err := records.Create(t.Context(), record)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, Options{Records: records, Kept: []claim.Kept{{Record: record, Revision: revision}}}, func(w *world) {
		p := w.claimWith("demo", "t")
		if got := w.send("PATCH", p.Claim, "t", schema.ClaimPatch{Token: new("t"), Lease: new(90)}); got.Status != 200 {
			t.Errorf("PATCH with the token that it has = %d %s, want 200", got.Status, got.Content)
		}
		if got := w.send("PATCH", p.Claim, "t", schema.ClaimPatch{Token: new("u")}); got.code() != schema.CodeBadToken {
			t.Errorf("PATCH with another short one = %d %s, want bad_token", got.Status, got.Content)
		}
		w.send("DELETE", p.Claim, "t", nil)
		if got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: new("demo"), Token: new("t")}); got.code() != schema.CodeBadToken {
			t.Errorf("the same as a new claim = %d %s, want bad_token", got.Status, got.Content)
		}
	})
}

func TestTheErrorForAMistypedTokenSaysSo(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		minted := into[schema.ClaimAnswer](t, w.send("POST", "/claims", "", nil))
		for token, mistyped := range map[string]bool{minted.Token[:20]: true, claim.MintToken(claim.OwnerToken): false, longToken: false} {
			got := w.send("GET", minted.Claim, token, nil)
			if said := got.problem().Detail != "This is not the token of the claim."; got.Status != http.StatusForbidden || said != mistyped {
				t.Errorf("%q = %d %s, want the error for a mistyped token: %v", token, got.Status, got.Content, mistyped)
			}
		}
		viewer := into[map[string]any](t, w.send("PATCH", minted.Claim, minted.Token, schema.ClaimPatch{Viewer: new(true)}))["viewerToken"].(string)
		if claim.KindOf(viewer) != claim.ViewerToken {
			t.Errorf("the viewer's token is %q, want one that is minted", viewer)
		}
	})
}

// The node that takes a claim over does not know its sessions, and adopts those that show its token.
func TestGuessesForSessionsOfAnotherNodeAreCounted(t *testing.T) {
	records := claim.NewMemoryRecords()
	inWorld(t, Options{Records: records}, func(w *world) {
		kept := claim.Kept{Record: claim.Record{Label: "demo", Token: claim.HashToken(longToken), Terms: claim.Terms{Lease: time.Hour, Timeout: time.Minute}}}
		var err error
		if kept.Revision, err = records.Create(t.Context(), kept.Record); err != nil {
			t.Fatal(err)
		}
		if err := claim.Take(t.Context(), w.gateway.registry, kept); err != nil {
			t.Fatal(err)
		}
		poll := func(token string) schema.Code {
			return w.send("GET", "/claims/demo/sessions/"+strings.Repeat("a", 26)+"/requests", token, nil, schema.Field{"Prefer", "wait=0"}).code()
		}
		count := map[schema.Code]int{}
		for range 20 {
			count[poll("a-guess-of-a-token")]++
		}
		if count[schema.CodeNoSession] != 10 || count[schema.CodeRateLimited] != 10 {
			t.Errorf("20 guesses: %v, want 10 no_session, and rate_limited otherwise", count)
		}
		time.Sleep(2 * time.Second)
		if code := poll(longToken); code != schema.CodeRateLimited {
			t.Errorf("the token after that: %q, want rate_limited for a minute", code)
		}
	})
	inWorld(t, Options{Records: records}, func(w *world) {
		record, revision, err := records.Get(t.Context(), "demo")
		if err != nil {
			t.Fatal(err)
		}
		if err := claim.Take(t.Context(), w.gateway.registry, claim.Kept{Record: record, Revision: revision}); err != nil {
			t.Fatal(err)
		}
		at := "/claims/demo/sessions/" + strings.Repeat("a", 26) + "/requests"
		if got := w.send("GET", at, longToken, nil, schema.Field{"Prefer", "wait=0"}); got.Status != http.StatusNoContent {
			t.Errorf("a session that shows the token: %d %s, want 204", got.Status, got.Content)
		}
		time.Sleep(11 * time.Second)
		if got := w.send("GET", strings.Replace(at, "aa", "bb", 1), longToken, nil); got.code() != schema.CodeNoSession {
			t.Errorf("another one after 11 s: %d %s, want no_session", got.Status, got.Content)
		}
	})
}
