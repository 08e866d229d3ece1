package claim

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
)

// Notice is what became of a claim, for who writes it down: it was made, changed or ended.
type Notice struct {
	Claim *Claim
	// By is the address that made it so; the zero value where nobody did, or that is not known.
	By netip.Addr
	// Made says that the claim is new.
	Made bool
	// Changed are the names of what was set, in order; nil where nothing was.
	Changed []string
	// Terms are what holds now, of a claim that was made or changed.
	Terms Shown
	// Why is why it ended; nil where it lives.
	Why error
}

// note tells of a claim.
func (o *Options) note(n Notice) {
	if o.Noted != nil {
		o.Noted(n)
	}
}

// refused reports whether nobody may claim a label.
func (o *Options) refused(label string) bool { return o.Withdrawn != nil && o.Withdrawn(label) }

// differences returns the names of what differs in two records of a label.
func differences(was, is Record) (names []string) {
	for name, differs := range map[string]bool{"lease": was.Lease != is.Lease, "timeoutMs": was.Timeout != is.Timeout, "redeliver": was.Redeliver != is.Redeliver, "token": was.Token != is.Token} {
		if differs {
			names = append(names, name)
		}
	}
	others := maps.Clone(was.Others)
	if others == nil {
		others = make(map[string]Term)
	}
	maps.Copy(others, is.Others)
	for name := range others {
		if !reflect.DeepEqual(was.Others[name], is.Others[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
