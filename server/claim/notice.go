package claim

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
)

// Notice reports that a claim was made, changed or ended.
type Notice struct {
	Claim *Claim
	// By is the address that did so; the zero value if it is unknown or there is none.
	By netip.Addr
	// Made says that the claim is new.
	Made bool
	// Changed are the names of the settings that were set, sorted; nil for none.
	Changed []string
	// Terms are the current terms of a claim that was made or changed.
	Terms Shown
	// Why is why it ended; nil if it lives.
	Why error
}

// note passes a notice to Noted, if any.
func (o *Options) note(n Notice) {
	if o.Noted != nil {
		o.Noted(n)
	}
}

// refused reports whether the operator withdrew a label.
func (o *Options) refused(label string) bool { return o.Withdrawn != nil && o.Withdrawn(label) }

// differences returns the sorted names of the settings that differ in two records of a label.
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
