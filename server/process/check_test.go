package process

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct{ arg, says string }{
		{"--answer=1ns", "1s to 10m0s"}, {"--answer=999ms", "1s to 10m0s"}, {"--answer=11m", "1s to 10m0s"},
		{"--lease=100000h", "1s to 24h0m0s"}, {"--lease=999ms", "1s to 24h0m0s"}, {"--lease=1500ms", "whole seconds"},
		{"--wait=1500ms", "whole seconds"}, {"--wait=100ms", "1s to 24h0m0s"}, {"--acknowledge=1ns", "1ms to"}, {"--no-poller=1us", "1ms to"}, {"--drain=-1s", "1ms to"},
		{"--tombstone=2000000h", "1ms to"},
		{"--claims-per-second=NaN", "a negative one for no bound"}, {"--claims-per-second=0", "a negative one for no bound"}, {"--claims-per-second=Inf", "a negative one for no bound"},
		{"--visits-per-second=0", "a negative one for no bound"}, {"--visits-per-second=-Inf", "a negative one for no bound"},
	} {
		flag, _, _ := strings.Cut(c.arg, "=")
		if _, err := parse([]string{c.arg}); err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), flag+"=") {
			t.Errorf("%s: %v, want an error that says %q", c.arg, err, c.says)
		}
	}
	for _, arg := range []string{"--answer=1s", "--answer=10m", "--lease=1s", "--lease=24h", "--wait=1s", "--drain=1ms", "--claims-per-second=-1", "--claims-per-second=0.01", "--visits-per-second=1e6"} {
		if _, err := parse([]string{arg}); err != nil {
			t.Errorf("%s: %v, want no error", arg, err)
		}
	}
}

func TestTheErrorForAnAddressOfAnotherMachineSaysSo(t *testing.T) {
	o, err := parse([]string{"--listen=192.0.2.1:8202"})
	if err != nil {
		t.Fatal(err)
	}
	err = run(o, nil, &bytes.Buffer{}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "this machine does not have the address; ") || strings.Contains(err.Error(), "takes HOST:PORT") {
		t.Errorf("listen on 192.0.2.1: %v, want the error that this machine lacks the address", err)
	}
}
