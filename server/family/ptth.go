package family

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/problem"
)

// ptth is the door for PTTH/1.0 by Upgrade: draft-lentczner-rhttp-00 (2009), Second Life's version
// of 2008, and devices in the manner of Yaler. The program's side of the connection is an HTTP/1.1
// server that takes one request after the other.
type ptth struct {
	g    *door.Host
	by   *entrance
	seen *habits
}

func newPTTH(by *entrance, seen *habits) door.Door {
	d, g := &ptth{by.g, by, seen}, by.g
	return door.Door{
		Name: "ptth", URL: g.Public.Control + "ptth/{label}",
		Routes:    func(r chi.Router) { r.HandleFunc("/ptth/{label}", d.accept) },
		Otherwise: d.device,
		LabelOf: func(r *http.Request) string {
			name, under := strings.CutPrefix(r.URL.Path, "/ptth/")
			if !under {
				name = deviceOf(r)
			}
			label, _, _ := by.who(r, name)
			return label
		},
	}
}

// deviceOf returns the path of a request that a device parks, or "".
func deviceOf(r *http.Request) string {
	name, deeper := strings.CutPrefix(r.URL.Path, "/")
	if r.Method != http.MethodPost || versionOf(r) == "" || !deeper || strings.Contains(name, "/") {
		return ""
	}
	return name
}

// versionOf returns the protocol as r spells it, if it is one of this door, or "".
func versionOf(r *http.Request) string {
	for _, p := range protocols(r) {
		if strings.EqualFold(p, "PTTH/1.0") || strings.EqualFold(p, "PTTH/0.9") {
			return p
		}
	}
	return ""
}

// accept turns the connection at once.
func (d *ptth) accept(w http.ResponseWriter, r *http.Request) {
	version := versionOf(r)
	if version == "" {
		w.Header().Set("Upgrade", "PTTH/1.0")
		w.Header().Set("Connection", "Upgrade")
		door.Refuse(w, r, problem.New(schema.CodeUpgradeNeeded, "Ask for PTTH/1.0 here, with the fields Connection: Upgrade and Upgrade: PTTH/1.0."))
		return
	}
	begun := time.Now()
	f, err := d.enter(r, chi.URLParam(r, "label"))
	switch {
	case errors.Is(err, claim.ErrDraining):
		holdBack(r, begun)
		panic(http.ErrAbortHandler) // the connection ended, as it may at any time
	case err != nil:
		door.Refuse(w, r, err)
	default:
		d.turn(w, version, f)
	}
}

// enter opens a session for r and a feed.
func (d *ptth) enter(r *http.Request, label string) (*feed, error) {
	s, err := d.by.enter(r, "ptth", label)
	if err != nil {
		return nil, err
	}
	return newFeed(s)
}

// turn turns the connection of r and serves f on it.
func (d *ptth) turn(w http.ResponseWriter, version string, f *feed) {
	conn, err := switchTo(w, version)
	if err == nil {
		var t *turned
		if t, err = turn(d.g, conn, http1, d.seen); err == nil {
			t.serve(f)
			return
		}
	}
	f.leave()
}

// devicePark is how long a device waits for a visitor before it has to ask again.
const devicePark = 25 * time.Second

// device serves POST /{label} with Upgrade: PTTH/1.0, as devices send it: the connection turns once there is
// a visitor, and serves that visitor; after 204 the device asks again.
func (d *ptth) device(w http.ResponseWriter, r *http.Request) bool {
	label, version := deviceOf(r), versionOf(r)
	if label == "" {
		return false
	}
	begun := time.Now()
	f, err := d.enter(r, label)
	switch {
	case errors.Is(err, claim.ErrDraining):
		holdBack(r, begun)
		w.WriteHeader(http.StatusNoContent)
		return true
	case err != nil:
		door.Refuse(w, r, err)
		return true
	}
	ctx, cancel := context.WithTimeout(r.Context(), devicePark)
	m, err := f.Next(ctx, nil)
	late := ctx.Err() != nil && r.Context().Err() == nil
	cancel()
	switch {
	case err == nil:
		f.first = m
		d.turn(w, version, f)
		return true
	case late, errors.Is(err, claim.ErrDraining):
		w.WriteHeader(http.StatusNoContent)
	case r.Context().Err() != nil: // nobody is there to be answered
	default:
		door.Refuse(w, r, err)
	}
	f.leave()
	return true
}
