// Package family is the doors for the older and sibling protocols, each in a file
// named for it, onto the same core as the control API: the same claims, tokens,
// leases, limits and delivery promises. schema/README.md, 10, is their protocol.
package family

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"reversehttp/server/door"
)

// Names lists the doors there are, by their members in discovery.
func Names() []string { return []string{"reversehttp", "comet2008", "ptth", "ietfPtth"} }

// Choose reads the names of doors: all, none, or some of them. Its error says what to
// do.
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

// Options of the doors. The zero value is good.
type Options struct {
	// Names are the doors to open. Nil means all.
	Names []string
	// SharedToken lets programs of ReverseHttp (2008 to 2012) claim with [SharedToken],
	// which their libraries had as default: whoever knows of it shares the claim.
	SharedToken bool
	// Devices are programs that can show no token, and are let in by a key in their path.
	Devices []Device
}

// Doors gives what [gateway.Options.Doors] wants.
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
