package bounds

import (
	"runtime"
	"runtime/metrics"
)

// figures are what a process reports of a moment.
type figures struct {
	// Heap is what lives on the heap, and Stacks what stacks take, in bytes.
	Heap       int64 `json:"heap"`
	Stacks     int64 `json:"stacks"`
	Goroutines int   `json:"goroutines"`
	// Running handlers, and what they have read and written, in bytes.
	Running int64 `json:"running"`
	Read    int64 `json:"read"`
	Written int64 `json:"written"`
}

// collect fills in what is left after a collection. Pools let go of what nobody
// uses in the second one.
func (f *figures) collect() {
	runtime.GC()
	runtime.GC()
	// What was marked, whether or not the rest is swept.
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	f.Heap, f.Stacks = int64(s[0].Value.Uint64()), int64(s[1].Value.Uint64())
	f.Goroutines = runtime.NumGoroutine()
}

// held is what a process holds more than before.
type held struct{ heap, stacks int64 }

func (f figures) held(before figures) held {
	return held{f.Heap - before.Heap, f.Stacks - before.Stacks}
}

func (h held) String() string { return kib(h.heap) + " and stacks of " + kib(h.stacks) }

func (h held) all() int64 { return h.heap + h.stacks }
