package process

import (
	"log/slog"
	"strings"
	"testing"

	"reversehttp/server/gateway"
)

// joining returns the error of a gateway that is started as a node of a cluster with these flags.
func joining(t *testing.T, flags ...string) error {
	t.Helper()
	o, err := parse(append([]string{"--cluster", "nats://127.0.0.1:1"}, flags...))
	if err != nil {
		return err
	}
	n, err := join(o, &gateway.Options{}, slog.New(slog.DiscardHandler))
	if err == nil {
		n.close()
	}
	return err
}

func TestInvalidFlagsOfANodeAreRefused(t *testing.T) {
	for flags, want := range map[string]string{
		"--peer-listen=0.0.0.0:0":  "--peer-listen=0.0.0.0:0: others can reach this address; set --peer-ca, --peer-cert and --peer-key, or listen on 127.0.0.1",
		"--peer-ca=ca.pem":         "--peer-ca, --peer-cert and --peer-key: set all three, so that nodes know each other",
		"--data=somewhere":         "--data and --cluster: claims are kept in NATS, not in a directory; leave out one of them",
		"--peer-listen=no-address": "listen on no-address",
	} {
		if err := joining(t, flags); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
}
