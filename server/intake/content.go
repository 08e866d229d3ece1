// Package intake reads the content that peers send, at a minimum pace, and counts it in what their
// requests hold.
package intake

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"reversehttp/schema"
	"reversehttp/server/budget"
	"reversehttp/server/problem"
)

// Pace bounds how slowly content may come, whatever its framing. While the gateway waits for it,
// all of it may take Grace, and a second more for each Rate bytes; and no pause may be longer than
// Pause.
type Pace struct {
	// Grace is the time that any content may take.
	Grace time.Duration
	// Rate is in bytes a second.
	Rate int
	// Pause is the longest time without any content.
	Pause time.Duration
}

// Until returns when a read that begins at a time has to end. Before it, size bytes came in reads
// that waited for waited in all.
func (p Pace) Until(begin time.Time, waited time.Duration, size int) time.Time {
	return begin.Add(min(p.Time(size)-waited, p.Pause))
}

// Time returns how long content may take in all once size bytes have come.
func (p Pace) Time(size int) time.Duration {
	return p.Grace + time.Duration(size)*time.Second/time.Duration(p.Rate)
}

const (
	// firstBuffer is how many bytes are allocated before any content has come.
	firstBuffer = 4 << 10
	// soonThere is the most announced bytes for which room is made at once.
	soonThere = 64 << 10
)

// Read reads the whole content of a request, up to limit bytes, at a pace. Its buffer grows as
// content comes, whatever length is announced, and counts in hold. If Read fails, the read deadline
// stays in force for what net/http still reads.
func (p Pace) Read(w http.ResponseWriter, r *http.Request, limit int, hold *budget.Hold) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		// Refused before anything is read, so that no 100 (Continue) invites the content.
		return nil, &problem.Problem{Code: schema.CodeContentTooLarge, Unread: true}
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	rc := http.NewResponseController(w)
	start, held := time.Now(), 0
	var buf []byte
	for {
		if len(buf) == cap(buf) {
			size := max(2*cap(buf), firstBuffer)
			if n := r.ContentLength; n >= 0 { // one more, to see the end
				size = int(min(n+1, int64(max(size, soonThere))))
			}
			if !growSoon(r.Context(), hold, size) {
				p := NoRoom()
				p.Unread = true
				return nil, p
			}
			buf = append(make([]byte, 0, size), buf...)
			hold.Shrink(held)
			held = size
		}
		n, err := p.piece(rc, r.Body, hold, buf[len(buf):cap(buf)], time.Since(start), len(buf))
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return nil, &problem.Problem{Code: schema.CodeContentTooLarge, Unread: true}
		case err == io.EOF:
			_ = rc.SetReadDeadline(time.Time{})
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

// piece reads the next piece of the content of a request, after size bytes came in reads that
// waited for waited in all. Any error other than [io.EOF], the clean end, is a [*problem.Problem].
func (p Pace) piece(rc *http.ResponseController, body io.Reader, hold *budget.Hold, into []byte, waited time.Duration, size int) (int, error) {
	_ = rc.SetReadDeadline(p.Until(time.Now(), waited, size))
	if why := hold.Evicted(); why != nil {
		return 0, evicted(why)
	}
	hold.Wait()
	n, err := body.Read(into)
	hold.Move(n)
	return n, refused(err, hold)
}

// refused returns the problem for an error of reading content. It returns nil and [io.EOF]
// unchanged.
func refused(err error, hold *budget.Hold) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded) && hold.Evicted() != nil:
		return evicted(hold.Evicted())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem.Problem{Code: schema.CodeTooSlow, Unread: true}
	}
	return &problem.Problem{Code: schema.CodeBadRequest, Unread: true, Detail: "The content ended before it was whole, or its framing is malformed."}
}

// roomSoon is how long small content waits for memory, until slow peers have made room.
const roomSoon = 2 * time.Second

// growSoon holds n more bytes; if n is small, it waits up to two seconds for room. It reports
// whether it holds them.
func growSoon(ctx context.Context, hold *budget.Hold, n int) bool {
	if hold.Grow(n) {
		return true
	}
	if n > soonThere {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, roomSoon)
	defer cancel()
	return hold.GrowSoon(ctx, nil, n)
}

// evicted returns the problem of content that was given up although it was in time.
func evicted(why error) *problem.Problem {
	p := problem.Of(why)
	p.Unread = true
	if p.Code == schema.CodeTooSlow {
		p.Detail = "The content arrived too slowly while others needed its place."
	}
	return p
}

// Refuse answers a visitor whose content was not read.
func Refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	p.Visitor, p.Unread = true, true
	p.Write(w, r)
}

// ReadOf is Read for a program's request, and counts in [HoldOf]. The hold may be taken back
// meanwhile.
func (p Pace) ReadOf(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	hold, rc := HoldOf(r), http.NewResponseController(w)
	hold.Evictable(func(error) { _ = rc.SetReadDeadline(Past) })
	return p.Read(w, r, limit, hold)
}
