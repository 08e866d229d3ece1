package claim

import "sync"

// drain is whether the gateway stops.
type drain struct {
	begins chan struct{} // closed when it does
	once   sync.Once
}

// begin says that it does.
func (d *drain) begin() { d.once.Do(func() { close(d.begins) }) }

// begun reports whether it does.
func (d *drain) begun() bool {
	select {
	case <-d.begins:
		return true
	default:
		return false
	}
}
