package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

func TestAReleasedLabelIsReservedForItsTokenForAWhile(t *testing.T) {
	const other = "another-token-of-9"
	_, accounts := ann(t, "")
	for name, c := range map[string]struct {
		o       Options
		keeps   bool
		another time.Duration // after which others can claim it
	}{
		"kept":             {Options{}, true, keptFor},
		"for another time": {Options{Times: claim.Times{Released: time.Hour}}, true, time.Hour},
		"not at all":       {Options{Times: claim.Times{Released: -1}}, true, 0},
		"local":            {Options{Loopback: true}, true, 0},
		"without a disk":   {Options{}, false, 0},
		"nobody's account": {Options{Accounts: accounts}, true, keptFor},
	} {
		t.Run(name, func(t *testing.T) {
			if c.keeps {
				c.o.Records = claim.NewMemoryRecords()
			}
			inWorld(t, c.o, func(w *world) {
				p := w.claimWith("demo", longToken)
				w.send("DELETE", "/claims/demo", p.Token, nil)
				claims := func(token string) *reply {
					return w.send("POST", "/claims", "", schema.ClaimRequest{Label: new("demo"), Token: &token})
				}
				if c.another > 0 {
					time.Sleep(c.another - time.Second)
					got := claims(other)
					if got.Status != 403 || got.code() != schema.CodeLabelTaken || !strings.Contains(string(got.Content), "released") {
						t.Errorf("another's claim = %d %s, want 403 label_taken that says why", got.Status, got.Content)
					}
					if got := claims(longToken); got.Status != 201 {
						t.Fatalf("its own = %d %s, want 201", got.Status, got.Content)
					}
					w.send("DELETE", "/claims/demo", longToken, nil)
					time.Sleep(c.another)
				}
				if got := claims(other); got.Status != 201 {
					t.Errorf("another's claim after %s = %d %s, want 201", c.another, got.Status, got.Content)
				}
			})
		})
	}
}

func TestTheOperatorsOwnProgramsGetAReleasedLabel(t *testing.T) {
	key, accounts := ann(t, "")
	for name, c := range map[string]struct {
		o   Options
		key string
	}{
		"an account": {Options{Accounts: accounts}, key},
		"a device":   {Options{Owned: map[string]string{"ann-1": longToken}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			released := claim.Record{Label: "ann-1", Token: claim.HashToken("theirs"), History: claim.History{Begun: time.Unix(1, 0), Released: time.Unix(2, 0), Until: time.Unix(1<<40, 0)}}
			records := claim.NewMemoryRecords()
			revision, err := records.Create(t.Context(), released)
			if err != nil {
				t.Fatal(err)
			}
			c.o.Records, c.o.Kept = records, []claim.Kept{{Record: released, Revision: revision}}
			inWorld(t, c.o, func(w *world) {
				if got := w.claims(c.key, fmt.Sprintf(`{"label":"ann-1","token":%q}`, longToken)); got.Status != 201 {
					t.Errorf("claim = %d %s, want 201", got.Status, got.Content)
				}
			})
		})
	}
}

func TestTheNumberOfRememberedLabelsFitsTheMemory(t *testing.T) {
	for memory, want := range map[int64]int{0: mostReleased, 32 << 20: 2048, 1 << 40: mostReleased} {
		if _, got := remembered(&Options{Limits: claim.Limits{Memory: memory}}, false); got != want {
			t.Errorf("with %d bytes %d, want %d", memory, got, want)
		}
	}
}
