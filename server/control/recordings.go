package control

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/recording"
	"reversehttp/server/wire"
)

// Recordings serves the recordings of claims; see schema/README.md, section 13. Its members are set
// before its first use and do not change.
type Recordings struct {
	Claims   *Claims
	Recorder *recording.Recorder
	// Stops is closed when waiting requests have to end because the gateway stops. Nil means never.
	Stops <-chan struct{}
}

// bookOf returns the recordings of a request's claim; nil if its owner asks for none.
func (rs *Recordings) bookOf(r *http.Request) *recording.Book { return rs.Recorder.Book(claimOf(r)) }

// List answers GET {exchanges}.
func (rs *Recordings) List(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		problem.New(schema.CodeBadRequest, "The query is malformed: percent-encode what is in it.").Write(w, r)
		return
	}
	form, usual := preferredForm(r, formOfRecordings), usualRecordings
	if query.Get("format") == "har" {
		form = "har"
	}
	if form == "har" {
		usual = recording.MostRecordings
	}
	f, p := filterOf(query, usual)
	if p != nil {
		p.Write(w, r)
		return
	}
	switch {
	case form == "har":
		rs.archive(w, r, f, query.Get("secrets") == "1")
	case r.Method == http.MethodHead && (form == "ndjson" || form == "sse"):
		w.Header().Set("Content-Type", map[string]string{"ndjson": envelope.NDJSON.Media(), "sse": envelope.Events.Media()}[form])
	case form == "ndjson":
		rs.stream(w, r, envelope.NDJSON, f)
	case form == "sse":
		rs.stream(w, r, envelope.Events, f)
	case form != "json":
		problem.New(schema.CodeNotAcceptable, "Recordings are in application/json, application/x-ndjson, text/event-stream or application/har+json.").Write(w, r)
	case query.Has("after"):
		rs.changes(w, r, query.Get("after"), f)
	default:
		book := rs.bookOf(r)
		if book == nil {
			writeJSON(w, http.StatusOK, schema.Recordings{Exchanges: []schema.Recorded{}})
			return
		}
		list, found := book.List(f)
		if !found {
			noRecording(f.Before).Write(w, r)
			return
		}
		writeHeld(w, r, list)
	}
}

// One answers GET {exchanges}/{id}.
func (rs *Recordings) One(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	id := chi.URLParam(r, "exchange")
	if book := rs.bookOf(r); book != nil {
		if one, found := book.One(id); found {
			writeHeld(w, r, one)
			return
		}
	}
	noRecording(id).Write(w, r)
}

// noRecording returns the problem that an exchange has no recording.
func noRecording(id string) *problem.Problem {
	return problem.New(schema.CodeNoExchange, "There is no recording of an exchange "+problem.Repeated(id)+". The claim is to have been claimed with \"inspect\":true before it came, and keeps its newest recordings.")
}

// Clear answers DELETE {exchanges}.
func (rs *Recordings) Clear(w http.ResponseWriter, r *http.Request) {
	if book := rs.bookOf(r); book != nil {
		book.Clear()
	}
	w.WriteHeader(http.StatusNoContent)
}

// usualRecordings is the default limit of a list.
const usualRecordings = 50

// filterOf returns the filter of a query. Its limit is usual unless the query has one.
func filterOf(query url.Values, usual int) (f recording.Filter, p *problem.Problem) {
	f = recording.Filter{
		Method: query.Get("method"), Path: query.Get("path"), Code: query.Get("code"), Content: []byte(query.Get("content")),
		Before: query.Get("before"), Limit: usual,
	}
	if limit := query.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > recording.MostRecordings {
			return f, problem.New(schema.CodeBadRequest, "limit is a number from 1 to "+strconv.Itoa(recording.MostRecordings)+".")
		}
		f.Limit = n
	}
	if status := query.Get("status"); status != "" {
		class, isClass := strings.CutSuffix(status, "xx")
		n, err := strconv.Atoi(class)
		switch {
		case err != nil || strconv.Itoa(n) != class:
			return f, badStatus()
		case isClass && n >= 1 && n <= 5:
			f.LeastStatus, f.MostStatus = n*100, n*100+99
		case !isClass && n >= 100 && n <= 599:
			f.LeastStatus, f.MostStatus = n, n
		default:
			return f, badStatus()
		}
	}
	return f, nil
}

// badStatus returns the problem of a filter whose status is invalid.
func badStatus() *problem.Problem {
	return problem.New(schema.CodeBadRequest, "status is a status code such as 404, or a class such as 5xx.")
}

const mediaHAR = "application/har+json"

// formOfRecordings returns the form of recordings that a media range names, or "".
func formOfRecordings(media string) string {
	if media == mediaHAR {
		return "har"
	}
	return formOfMedia(media)
}

// archive answers with an archive, entry by entry, since all of them together may be long.
func (rs *Recordings) archive(w http.ResponseWriter, r *http.Request, f recording.Filter, secrets bool) {
	book := rs.bookOf(r)
	var ids []string
	if book != nil {
		var found bool
		if ids, found = book.IDs(f); !found {
			noRecording(f.Before).Write(w, r)
			return
		}
	}
	h := w.Header()
	h.Set("Content-Type", mediaHAR)
	h.Set("Content-Disposition", `attachment; filename="`+claimOf(r).Label()+`.har"`)
	hold := intake.HoldOf(r)
	claimOf(r).Charge(hold)
	evictable(hold, w)
	_, _ = io.WriteString(w, recording.ArchiveBegin)
	between := ""
	for _, id := range ids {
		one, found := book.One(id)
		if !found {
			continue // it was dropped meanwhile
		}
		entry := marshal(recording.Entry(one, secrets))
		if !hold.Grow(len(entry)) {
			panic(http.ErrAbortHandler) // no clean end: there is no room for more
		}
		wire.BoundWrite(w, len(entry))
		err := given(w, hold, append([]byte(between), entry[:len(entry)-1]...))
		hold.Shrink(len(entry))
		if err != nil {
			return
		}
		between = ","
	}
	wire.BoundWrite(w, 0)
	_, _ = io.WriteString(w, recording.ArchiveEnd)
}

// changes answers with what changed since a change. If the request prefers to wait, it waits until
// something has.
func (rs *Recordings) changes(w http.ResponseWriter, r *http.Request, after string, f recording.Filter) {
	wait, preferred := preferredWait(r, rs.Claims.Registry.Options().Times.Wait)
	if !preferred {
		wait = 0
	}
	c := rs.await(r.Context(), rs.bookOf(r), after, f, wait)
	out := schema.Recordings{Exchanges: []schema.Recorded{}, Change: c.Change, Cleared: c.Cleared}
	for i := len(c.Recordings) - 1; i >= 0; i-- { // newest first
		out.Exchanges = append(out.Exchanges, c.Recordings[i])
	}
	if preferred {
		applied(w.Header(), wait)
	}
	writeHeld(w, r, out)
}

// await returns what changed in a book since a change, once something has, the time is over, ctx
// ends or the gateway stops. A nil book never changes.
func (rs *Recordings) await(ctx context.Context, book *recording.Book, after string, f recording.Filter, wait time.Duration) recording.Changes {
	c, news := recording.Changes{Change: after}, (<-chan struct{})(nil)
	if book != nil {
		c, news = book.Since(after, f)
	}
	if wait <= 0 {
		return c
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for len(c.Recordings) == 0 && !c.Cleared && !c.Closed {
		select {
		case <-news:
			c, news = book.Since(c.Change, f)
		case <-timer.C:
			return c
		case <-ctx.Done():
			return c
		case <-rs.Stops:
			return c
		}
	}
	return c
}
