package control

import (
	"sync"

	"reversehttp/schema/envelope"
	"reversehttp/server/problem"
	"reversehttp/server/recording"
)

// watching says which recordings the program of a link watches. The zero value watches none.
type watching struct {
	mu      sync.Mutex         // guards what follows; while it is held no book may be locked
	watched *recording.Watcher // nil for none
	after   string             // the last change that the program knows
}

// begin starts telling the program of l about recordings, as it asked.
func (w *watching) begin(l *link, line []byte) error {
	watch, err := envelope.DecodeSaid(line)
	if err != nil {
		return problem.BadJSON(err)
	}
	w.stop()
	if book := l.links.Recorder.Book(l.session.Claim()); book != nil {
		watched := book.Watch(l.Ready)
		w.mu.Lock()
		w.watched, w.after = watched, watch.Change
		w.mu.Unlock()
		l.Ready()
	}
	return nil
}

// stop stops that.
func (w *watching) stop() {
	w.mu.Lock()
	watched := w.watched
	w.watched = nil
	w.mu.Unlock()
	if watched != nil {
		watched.Stop()
	}
}

// append appends changes of which the program was not told yet, in the framed form, and reports
// whether there are more.
func (w *watching) append(out []byte) (appended []byte, more bool) {
	w.mu.Lock()
	watched, after := w.watched, w.after
	w.mu.Unlock()
	if watched == nil {
		return out, false
	}
	c := watched.Since(after)
	w.mu.Lock()
	if w.watched == watched {
		w.after = c.Change
	}
	w.mu.Unlock()
	if c.Closed { // later recordings are in another book
		w.stop()
	}
	return appendChanges(out, envelope.Framed, c, after), c.More
}
