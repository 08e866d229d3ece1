package peer

import "fmt"

// Versions are the versions of the frames that a node speaks: all from Oldest to Newest. The form of a hello
// is the same in all of them; a later one may have more members.
type Versions struct {
	// Oldest is the first of them. Zero means Newest.
	Oldest, Newest int
}

// Spoken are the versions that this release speaks. A release that changes the frames speaks a new version, and
// that of the release before it: then nodes can be restarted with it one after the other. It has to look at
// the version of a connection before it sends what the other node would not understand.
var Spoken = Versions{Oldest: 2, Newest: 2}

// Common returns the newest version that both nodes speak, or 0 if there is none.
func (v Versions) Common(other Versions) int {
	if newest := min(v.Newest, other.Newest); newest >= v.oldest() && newest >= other.oldest() {
		return newest
	}
	return 0
}

func (v Versions) oldest() int {
	if v.Oldest == 0 {
		return v.Newest
	}
	return v.Oldest
}

// String returns the versions for people.
func (v Versions) String() string {
	if v.oldest() == v.Newest {
		return fmt.Sprint("version ", v.Newest)
	}
	return fmt.Sprint("versions ", v.Oldest, " to ", v.Newest)
}

// VersionError is the error of a connection to a node with which this one has no version in common.
type VersionError struct {
	Node       string
	Own, Other Versions
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("peer: node %s speaks %v of the frames, and this one %v", e.Node, e.Other, e.Own)
}
