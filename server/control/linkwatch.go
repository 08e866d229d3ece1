package control

import (
	"sync"

	"reversehttp/schema/envelope"
	"reversehttp/server/problem"
	"reversehttp/server/recording"
)

// watching is the recordings that the program of a link watches. The zero value watches none.
type watching struct {
	mu      sync.Mutex         // guards what follows; nothing that locks a book is called while it is held
	watched *recording.Watcher // nil for none
	after   string             // the change that the program was told of last
}

// begin has the program of l told of recordings, as it asks.
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

// stop has the program told of nothing any more.
func (w *watching) stop() {
	w.mu.Lock()
	watched := w.watched
	w.watched = nil
	w.mu.Unlock()
	if watched != nil {
		watched.Stop()
	}
}

// append appends what changed since the program was told last, in the framed form, or some of it, and reports whether there is more.
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
	if c.Closed { // what is recorded from now on is another book
		w.stop()
	}
	return appendChanges(out, envelope.Framed, c, after), c.More
}
