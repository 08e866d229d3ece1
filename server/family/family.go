// Package family has the doors for the older and sibling protocols, each in a file named after it.
// They lead to the same core as the control API: the same claims, tokens, leases, limits and
// delivery promises. schema/DOORS.md describes them.
package family

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"reversehttp/server/door"
)

// Names returns the names of all doors, as in discovery.
func Names() []string { return []string{"reversehttp", "comet2008", "ptth", "ietfPtth"} }

// Choose parses names of doors: all, none, or a list. Its error says what to do.
func Choose(names []string) ([]string, error) {
	chosen := []string{}
	for _, name := range names {
		switch {
		case name == "all" && len(names) == 1:
			return Names(), nil
		case name == "none" && len(names) == 1:
		case !slices.Contains(Names(), name):
			return nil, fmt.Errorf("give all, none, or some of %s", strings.Join(Names(), ", "))
		default:
			chosen = append(chosen, name)
		}
	}
	return chosen, nil
}

// SharedToken is the token that the libraries of ReverseHttp (2008 to 2012) send when their program names none.
const SharedToken = "-"

// Options configure the doors. The zero value opens all of them.
type Options struct {
	// Names are the doors to open. Nil means all.
	Names []string
	// SharedToken lets programs of ReverseHttp (2008 to 2012) claim with [SharedToken], the default
	// of their libraries: everybody who uses it shares the claim.
	SharedToken bool
	// Devices are programs that cannot show a token and are let in by a key in their path.
	Devices []Device
}

// Doors returns a value for [gateway.Options.Doors].
func Doors(o Options) func(*door.Host) []door.Door {
	return func(g *door.Host) (doors []door.Door) {
		seen := &habits{}
		by := &entrance{g: g, listed: o.Devices, hint: new(sync.Once)}
		for _, d := range []door.Door{newReverseHTTP(g, o), newComet(by), newPTTH(by, seen), newIETF(g, seen)} {
			if o.Names == nil || slices.Contains(o.Names, d.Name) {
				doors = append(doors, d)
			}
		}
		return doors
	}
}
