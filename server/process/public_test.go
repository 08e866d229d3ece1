package process

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestPublicSetsBoundsThatAreNotGiven(t *testing.T) {
	bounds := func(o *options) [6]any {
		return [6]any{len(o.QuotaAddress), orZero(o.ClaimsPerAddress), orZero(o.ClaimsPerSecond), o.VisitsPerSecond, o.MaxQueue, o.ContentBytes}
	}
	t.Setenv("REVERSEHTTP_MAX_SESSIONS", "3")
	for args, want := range map[string][6]any{
		"":         {0, 0, 0.0, -1.0, 1024, 64 << 30},
		"--public": {5, 5, 1.0, 50.0, 256, 256 << 20},
		// An explicit value applies, even if it equals the default without --public.
		"--public --max-queue=1024 --visits-per-second=-1 --claims-per-address=40": {5, 40, 1.0, -1.0, 1024, 256 << 20},
	} {
		o, err := parse(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := bounds(o); got != want || o.MaxSessions != 3 {
			t.Errorf("%s: %v and %d sessions, want %v and 3", args, got, o.MaxSessions, want)
		}
	}
	t.Setenv("REVERSEHTTP_PUBLIC", "true")
	if o, err := parse(nil); err != nil || bounds(o)[1] != 5 {
		t.Errorf("by the environment: %v %v", o, err)
	}
}

func TestTheHelpOfPublicListsItsDefaults(t *testing.T) {
	var out bytes.Buffer
	_, _ = parse([]string{"--help"}, kong.Writers(&out, &out), kong.Exit(func(int) {}))
	help := strings.Join(strings.Fields(out.String()), " ")
	_, help, _ = strings.Cut(help, "--public ")
	for name, value := range publicDefaults {
		if !strings.Contains(help, "--"+name+"="+value) {
			t.Errorf("the help of --public does not mention --%s=%s", name, value)
		}
	}
	readme := lines(t, "../README.md")
	for name, value := range publicDefaults {
		if !strings.Contains(readme, "`--"+name+"` is "+value) && !strings.Contains(readme, "`--"+name+"` "+value) && name != "content-bytes" {
			t.Errorf("README.md does not mention --%s %s", name, value)
		}
	}
}

func TestContactsAreURIs(t *testing.T) {
	for contact, good := range map[string]bool{
		"mailto:security@example.com": true, "https://example.com/security": true, "tel:+49-1": true,
		"security@example.com": false, "http://example.com/": false, "mailto:": false, "https://": false, "javascript:alert(1)": false, "mailto:a@b c": false, "mailto:a@b\nContact: x": false,
	} {
		if _, err := parse([]string{"--security-contact=" + contact}); (err == nil) != good {
			t.Errorf("%q: %v, want good: %v", contact, err, good)
		}
	}
	if _, err := parse([]string{"--abuse-log=x"}); err == nil || !strings.Contains(err.Error(), "--public") {
		t.Errorf("--abuse-log alone: %v", err)
	}
}
