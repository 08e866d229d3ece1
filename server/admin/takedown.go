package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/recording"
	"reversehttp/server/terms"
)

// TakenDown is what the gateway knows about a label that was taken down.
type TakenDown struct {
	Label string `json:"label"`
	URL   string `json:"url"`
	// Claimed says that the label was claimed. The members below describe that claim.
	Claimed bool `json:"claimed"`
	// Made is when the claim was made (RFC 3339), and Address from where. Addresses are those from
	// which it was last served.
	Made      string   `json:"made,omitempty"`
	Address   string   `json:"address,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	Account   string   `json:"account,omitempty"`
	Lease     int      `json:"lease,omitempty"`
	TimeoutMs int      `json:"timeoutMs,omitempty"`
	// Terms are the settings of the owner, without secrets.
	Terms    map[string]any   `json:"terms,omitempty"`
	Sessions int              `json:"sessions,omitempty"`
	Counters *schema.Counters `json:"counters,omitempty"`
	// Recordings are the recorded exchanges, if the owner turned recording on.
	Recordings []schema.Recording `json:"recordings,omitempty"`
	// Error says why the record of the claim is still on disk. The label is withdrawn nevertheless.
	Error string `json:"error,omitempty"`

	book *recording.Book
}

// takedown is the content of a call: a label, or an address from which all claimed or served labels
// are meant.
type takedown struct {
	Label   string `json:"label"`
	Address string `json:"address"`
	Reason  string `json:"reason"`
}

// mostAsked bounds the content of a call, and mostReason its reason, in bytes.
const (
	mostAsked  = 16 << 10
	mostReason = 1 << 10
)

// takeDown answers POST /takedowns. Visitors get a problem at once; then open exchanges and
// sessions end, and the answer reports what is known of each label.
func (a *API) takeDown(w http.ResponseWriter, r *http.Request) {
	var ask takedown
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostAsked))
	d.DisallowUnknownFields()
	if err := d.Decode(&ask); err != nil {
		problem.New(schema.CodeBadJSON, `Send {"label":"…"} or {"address":"…"}, optionally with "reason".`).Write(w, r)
		return
	}
	labels, p := a.meant(&ask)
	if p != nil {
		p.Write(w, r)
		return
	}
	now := time.Now().UnixMilli()
	var all []admission.Withdrawal
	for _, label := range labels {
		all = append(all, admission.Withdrawal{Label: label, AtMs: now, Reason: ask.Reason})
	}
	failure := a.Withdrawn.Add(all...)
	taken := make([]*TakenDown, 0, len(labels))
	for _, label := range labels {
		a.Audit.Note(audit.Entry{Event: audit.TakenDown, Label: label, Address: addressOf(r), Account: terms.AccountOf(a.Registry.Lookup(label)), Reason: ask.Reason})
		taken = append(taken, a.end(label))
	}
	if failure != nil {
		a.Log.Error("took labels down, but cannot store that", "error", failure)
	}
	a.tell(w, taken, failure == nil)
}

// meant returns the labels that a call means.
func (a *API) meant(ask *takedown) ([]string, *problem.Problem) {
	if len(ask.Reason) > mostReason {
		return nil, &problem.Problem{Code: schema.CodeBadMember, Pointer: "/reason", Detail: "A reason may have at most 1,024 bytes."}
	}
	switch {
	case (ask.Label == "") == (ask.Address == ""):
		return nil, problem.New(schema.CodeBadMember, "Send a label or an address.")
	case ask.Label != "" && !claim.ValidLabel(ask.Label):
		return nil, &problem.Problem{Code: schema.CodeBadLabel, Pointer: "/label"}
	case ask.Label != "":
		return []string{ask.Label}, nil
	}
	who, err := netip.ParsePrefix(ask.Address)
	if err != nil {
		address, err := netip.ParseAddr(ask.Address)
		if err != nil {
			return nil, &problem.Problem{Code: schema.CodeBadMember, Pointer: "/address", Detail: "Use an address such as 192.0.2.1 or 2001:db8::1, or a prefix such as 192.0.2.0/24."}
		}
		who = budget.Subscriber(address)
	}
	var labels []string
	for _, label := range a.Registry.Labels(1 << 30) {
		c := a.Registry.Lookup(label)
		if c == nil {
			continue
		}
		if slices.ContainsFunc(append(claim.Addresses(c), terms.Made(c).Address), who.Overlaps) {
			labels = append(labels, label)
		}
	}
	return labels, nil
}

// end ends the claim of a withdrawn label, if there is one, and returns what is known of it.
func (a *API) end(label string) *TakenDown {
	t := &TakenDown{Label: label, URL: a.Public.Base(label)}
	c := a.Registry.Lookup(label)
	if c == nil {
		return t
	}
	maker := terms.Made(c)
	st, addresses := c.State(), claim.Addresses(c)
	t.Claimed, t.Account, t.Lease, t.TimeoutMs, t.Sessions = true, maker.Name, int(st.Lease/time.Second), int(st.Timeout.Milliseconds()), len(st.Sessions)
	if maker.MadeMs > 0 {
		t.Made = time.UnixMilli(maker.MadeMs).UTC().Format(time.RFC3339)
	}
	if maker.Address.IsValid() {
		t.Address = shown(maker.Address)
	}
	for _, one := range addresses {
		t.Addresses = append(t.Addresses, shown(one))
	}
	t.Terms = st.Others
	delete(t.Terms, terms.Account)
	t.book = a.Recorder.Take(c)
	if err := claim.TakeDown(c); err != nil {
		t.Error = "the record of the claim is still on disk"
	}
	ends := c.State().Ends // counts the exchanges that TakeDown ended, too
	t.Counters = &schema.Counters{Done: int(ends[claim.Done]), Failed: int(ends[claim.Failed]), TimedOut: int(ends[claim.TimedOut]), Abandoned: int(ends[claim.Abandoned])}
	return t
}

// shown returns the prefix of a subscriber as people write it.
func shown(p netip.Prefix) string { return strings.TrimSuffix(p.String(), "/32") }

// tell answers with what is known of labels that were taken down. It writes recordings one by one,
// since all together may be large.
func (a *API) tell(w http.ResponseWriter, taken []*TakenDown, kept bool) {
	defer func() {
		for _, t := range taken {
			if t.book != nil {
				t.book.Close()
			}
		}
	}()
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"kept":%t,"takenDown":[`, kept)
	for i, t := range taken {
		if i > 0 {
			_, _ = io.WriteString(w, ",")
		}
		text, _ := json.Marshal(t)
		if t.book != nil {
			_, _ = w.Write(append(bytes.TrimSuffix(text, []byte("}")), `,"recordings":[`...))
			ids, _ := t.book.IDs(recording.Filter{})
			between := ""
			for _, id := range ids {
				one, found := t.book.One(id)
				if !found {
					continue
				}
				text, _ := json.Marshal(one)
				if _, err := w.Write(append([]byte(between), text...)); err != nil {
					return
				}
				between = ","
			}
			text = []byte("]}")
		}
		if _, err := w.Write(text); err != nil {
			return
		}
	}
	_, _ = io.WriteString(w, "]}\n")
}

// takenDown answers GET /takedowns.
func (a *API) takenDown(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"withdrawn": a.Withdrawn.All()})
}

// restoreLabel answers DELETE /takedowns/{label}.
func (a *API) restoreLabel(w http.ResponseWriter, r *http.Request) {
	label := chi.URLParam(r, "label")
	switch was, err := a.Withdrawn.Restore(label); {
	case err != nil:
		a.Log.Error("cannot restore a label", "label", cut(label), "error", err)
		problem.New(schema.CodeUnavailable, "").Write(w, r)
	case !was:
		problem.New(schema.CodeNotFound, "This label was not taken down.").Write(w, r)
	default:
		a.Audit.Note(audit.Entry{Event: audit.LabelRestored, Label: label, Address: addressOf(r)})
		w.WriteHeader(http.StatusNoContent)
	}
}
