// Package intake takes what peers send: whole content at a pace, counted in what their requests hold.
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

// Pace is how slowly content may come, whatever its framing: all of it may take a grace, and a
// second more for each rate bytes, while it is waited for; and nothing may come for pause.
type Pace struct {
	// Grace is what all of it may take.
	Grace time.Duration
	// Rate is in bytes a second.
	Rate int
	// Pause is how long nothing may come.
	Pause time.Duration
}

// Until returns when a read has to end that begins at a time, after size bytes came in reads
// that waited so long in all.
func (p Pace) Until(begin time.Time, waited time.Duration, size int) time.Time {
	return begin.Add(min(p.Time(size)-waited, p.Pause))
}

// Time returns how long content of which size bytes came may take until more comes.
func (p Pace) Time(size int) time.Duration {
	return p.Grace + time.Duration(size)*time.Second/time.Duration(p.Rate)
}

const (
	// firstBuffer is how much is made room for before any content came, in bytes.
	firstBuffer = 4 << 10
	// soonThere is how much content may announce to be made room for at once.
	soonThere = 64 << 10
)

// Read reads the whole content of a request, up to limit bytes, at a pace. What it is read
// into grows as it comes, however much it is said to be, and counts in hold. Where it fails,
// the deadline stays for what net/http still reads.
func (p Pace) Read(w http.ResponseWriter, r *http.Request, limit int, hold *budget.Hold) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		// Said before anything is read, so that no 100 (Continue) invites it.
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

// piece reads what comes next of the content of a request, after size bytes came in reads that waited so long in all. Any error but
// [io.EOF], the clean end, is a [*problem.Problem].
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

// refused returns the problem that an error of reading content is, or that error where it is none or [io.EOF].
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

// roomSoon is how long small content waits for memory: slow peers have to go first.
const roomSoon = 2 * time.Second

// growSoon holds n bytes more, and waits up to two seconds for room where they are few. It reports
// whether it does.
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

// evicted says why content is given up that was within its time.
func evicted(why error) *problem.Problem {
	p := problem.Of(why)
	p.Unread = true
	if p.Code == schema.CodeTooSlow {
		p.Detail = "The content came too slowly while others needed its place."
	}
	return p
}

// Refuse answers a visitor whose content was not read.
func Refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	p.Visitor, p.Unread = true, true
	p.Write(w, r)
}

// ReadOf is Read for a program's request, of which [HoldOf] returns what it holds. It may be taken back meanwhile.
func (p Pace) ReadOf(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	hold, rc := HoldOf(r), http.NewResponseController(w)
	hold.Evictable(func(error) { _ = rc.SetReadDeadline(Past) })
	return p.Read(w, r, limit, hold)
}
