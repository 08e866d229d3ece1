package bounds

import (
	"runtime"
	"runtime/metrics"
)

// figures are what a process reports about one moment.
type figures struct {
	// Heap is the live heap, and Stacks the memory of stacks, in bytes.
	Heap       int64 `json:"heap"`
	Stacks     int64 `json:"stacks"`
	Goroutines int   `json:"goroutines"`
	// The number of running handlers, and how many bytes they have read and written.
	Running int64 `json:"running"`
	Read    int64 `json:"read"`
	Written int64 `json:"written"`
}

// collect fills in the memory after a collection. Pools release unused objects in the second one.
func (f *figures) collect() {
	runtime.GC()
	runtime.GC()
	// The marked memory, whether or not the rest is swept.
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	f.Heap, f.Stacks = int64(s[0].Value.Uint64()), int64(s[1].Value.Uint64())
	f.Goroutines = runtime.NumGoroutine()
}

// held returns how much more than before a process holds.
type held struct{ heap, stacks int64 }

func (f figures) held(before figures) held {
	return held{f.Heap - before.Heap, f.Stacks - before.Stacks}
}

func (h held) String() string { return kib(h.heap) + " and stacks of " + kib(h.stacks) }

func (h held) all() int64 { return h.heap + h.stacks }
