package process

import (
	"io"
	"os"
	"strings"
	"testing"
)

func TestSharedCookiesAreLogged(t *testing.T) {
	for _, c := range []struct {
		url   string
		warns bool
	}{
		{"https://{label}.example.com/", true},
		{"https://{label}.github.io/", false},
		{"https://example.com/at/{label}/", false},
		{"", false}, // local
	} {
		args := []string{"--listen=127.0.0.1:0"}
		if c.url != "" {
			args = append(args, "--public-url="+c.url)
		}
		p := start(t, args...)
		if got := strings.Contains(p.log.String(), "can set cookies for all"); got != c.warns {
			t.Errorf("%q: a warning: %v, want %v", c.url, got, c.warns)
		}
		if c.warns {
			o, err := parse(append(args, "--require-public-suffix"))
			if err != nil {
				t.Fatal(err)
			}
			err = run(o, make(chan os.Signal), io.Discard, io.Discard)
			if err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), "Public Suffix List") {
				t.Errorf("%q with --require-public-suffix: %v, want that it refuses", c.url, err)
			}
			continue
		}
		start(t, append(args, "--require-public-suffix")...)
	}
}
