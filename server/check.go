package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"reversehttp/server/claim"
)

// wrong is an error of what flags say, which another start with the same flags would meet again. The others are of what
// the machine has for the gateway.
type wrong struct{ error }

func (w wrong) Unwrap() error { return w.error }

// wrong says that an error is one of what flags say, and where they say it.
func (o *options) wrong(err error) error { return wrong{o.file.blame(err)} }

// check refuses bounds and times that cannot work.
func (o *options) check() error {
	// Whoever names keys from a secret that is not set must not open the gateway.
	if set, given := os.LookupEnv("REVERSEHTTP_CLAIM_KEYS"); slices.Contains(o.ClaimKeys, "") || o.ClaimKeys != nil && len(o.ClaimKeys) == 0 || o.ClaimKeys == nil && given && set == "" {
		return errors.New("--claim-keys: a key is empty; give keys, or leave the flag and REVERSEHTTP_CLAIM_KEYS out to let everyone claim")
	}
	if err := checkListen(o.Listen); err != nil {
		return err
	}
	for _, label := range o.Reserved {
		if !claim.ValidLabel(label) {
			return fmt.Errorf("--reserved=%s: that can be no label: lower case letters, digits and hyphens, 1 to 63", label)
		}
	}
	switch {
	case o.TLSCert != "" && o.TLSKey == "":
		return fmt.Errorf("--tls-cert=%s: give its key too, with --tls-key", o.TLSCert)
	case o.TLSKey != "" && o.TLSCert == "":
		return fmt.Errorf("--tls-key=%s: give its certificate too, with --tls-cert", o.TLSKey)
	}
	for _, n := range []struct {
		flag  string
		value int
	}{
		{"max-connections", o.MaxConnections}, {"max-claims", o.MaxClaims}, {"max-sessions", o.MaxSessions}, {"max-queue", o.MaxQueue},
		{"max-exchanges", o.MaxExchanges}, {"batch", o.Batch}, {"inline-bytes", o.InlineBytes}, {"content-bytes", o.ContentBytes}, {"part-bytes", o.PartBytes}, {"answer-bytes", o.AnswerBytes},
		{"target-bytes", o.TargetBytes}, {"field-bytes", o.FieldBytes}, {"fields", o.Fields}, {"content-rate", o.ContentRate},
	} {
		if n.value < 1 {
			return fmt.Errorf("--%s=%d: give a number above 0", n.flag, n.value)
		}
	}
	if m := o.Memory; m != nil && *m < leastMemory {
		return fmt.Errorf("--memory=%s: the gateway needs 64MiB at least; leave it out for a quarter of what the machine has", strings.ReplaceAll(humanize.IBytes(uint64(*m)), " ", ""))
	}
	if n := o.ClaimsPerAddress; n != nil && *n == 0 {
		return errors.New("--claims-per-address=0: give a number above 0, or a negative one for no bound")
	}
	for _, d := range []struct {
		flag            string
		value, from, to time.Duration
	}{
		// What claims may ask for bounds what they get without asking.
		{"answer", o.Answer, time.Second, 10 * time.Minute}, {"lease", o.Lease, time.Second, day}, {"wait", o.Wait, time.Second, day},
		{"stream", o.Stream, time.Second, day}, {"heartbeat", o.Heartbeat, time.Second, day}, {"unacknowledged", o.Unacknowledged, time.Millisecond, year},
		{"part", o.Part, time.Millisecond, year}, {"acknowledge", o.Acknowledge, time.Millisecond, year}, {"no-poller", o.NoPoller, time.Millisecond, year},
		{"unpolled", o.Unpolled, time.Millisecond, year}, {"tombstone", o.Tombstone, time.Millisecond, year}, {"field-time", o.FieldTime, time.Millisecond, year},
		{"content-grace", o.ContentGrace, time.Millisecond, year}, {"content-pause", o.ContentPause, time.Millisecond, year}, {"idle", o.Idle, time.Millisecond, year},
		{"preflight", o.Preflight, time.Millisecond, year}, {"drain", o.Drain, time.Millisecond, year},
	} {
		if d.value < d.from || d.value > d.to {
			return fmt.Errorf("--%s=%s: give a time from %s to %s", d.flag, d.value, d.from, d.to)
		}
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"lease", o.Lease}, {"wait", o.Wait}, {"stream", o.Stream}, {"heartbeat", o.Heartbeat}} {
		if d.value%time.Second != 0 {
			return fmt.Errorf("--%s=%s: it is told in seconds; give whole seconds", d.flag, d.value)
		}
	}
	for _, r := range []struct {
		flag  string
		value *float64
	}{{"claims-per-second", o.ClaimsPerSecond}, {"visits-per-second", &o.VisitsPerSecond}} {
		if v := r.value; v != nil && (*v == 0 || math.IsNaN(*v) || math.IsInf(*v, 0)) {
			return fmt.Errorf("--%s=%v: give a number above 0, or a negative one for no bound", r.flag, *v)
		}
	}
	return nil
}

// checkListen refuses what is no address, whatever the machine has.
func checkListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if err == nil && port != "" && !strings.ContainsAny(host, "/ ") {
		return nil
	}
	like := "8080"
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		like = address // a port alone
	}
	return fmt.Errorf("--listen=%s: give HOST:PORT, such as 127.0.0.1:%s, or :%s for all addresses of this machine; ports are 1 to 65535, and 0 for any that is free", address, like, like)
}

const (
	day  = 24 * time.Hour
	year = 365 * day
)
