package strangers

import (
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/trust"
	"reversehttp/server/wire"
)

// Desk accepts reports of abuse, and publishes the contact for vulnerabilities.
type Desk struct {
	Public *publicurl.Template
	Trust  trust.Peers
	// Locate is like [publicurl.Template.Locate], but also knows the domains of claims.
	Locate func(host, target string, loopback bool) (publicurl.Place, string, *publicurl.Template)
	// Contact is a URI for reports of vulnerabilities. Empty means the page for reports of abuse.
	Contact string
	// Logs receive the reports, and Log a message for each.
	Logs []*audit.Log
	Log  *slog.Logger

	byAddress *admission.Rate
	byAll     *rate.Limiter
}

// Bounds of reports.
const (
	mostReport   = 16 << 10        // the form, in bytes
	mostSaid     = 4 << 10         // of each field
	mostLogged   = 256             // bytes that the log repeats
	perAddress   = 0.1             // reports a second, in bursts of two
	everyReport  = 5 * time.Second // between reports from all addresses
	reportsAtOne = 50
)

// NewDesk returns a desk with the settings of d.
func NewDesk(d Desk) *Desk {
	d.byAddress, d.byAll = admission.NewRate(perAddress), rate.NewLimiter(rate.Every(everyReport), reportsAtOne)
	return &d
}

// securityExpires is how long a copy of security.txt is valid.
const securityExpires = 30 * 24 * time.Hour

// Security answers GET /.well-known/security.txt (RFC 9116).
func (d *Desk) Security(w http.ResponseWriter, _ *http.Request) {
	contact := d.Contact
	if contact == "" {
		contact = d.Public.Control + "abuse"
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "max-age=3600")
	_, _ = io.WriteString(w, "Contact: "+contact+"\nExpires: "+time.Now().UTC().Add(securityExpires).Truncate(24*time.Hour).Format(time.RFC3339)+"\nPreferred-Languages: en\nCanonical: "+d.Public.Control+".well-known/security.txt\n")
}

// report is the data of the page: the values of its form and the text above it.
type report struct {
	URL, Text, Contact string
	Wrong              string // what the visitor should correct
	Done               bool
}

// Ask answers GET /abuse with the form.
func (d *Desk) Ask(w http.ResponseWriter, r *http.Request) {
	u := r.URL.Query().Get("url")
	d.show(w, http.StatusOK, report{URL: u[:min(len(u), mostSaid)]})
}

// Take answers POST /abuse.
func (d *Desk) Take(w http.ResponseWriter, r *http.Request) {
	from := d.Trust.Address(r)
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		defer wire.Leaving(w, r)()
		d.show(w, http.StatusForbidden, report{Wrong: "Another page made your browser send a report. If you want to report a page, use this form."})
		return
	}
	if !d.byAddress.Allow(from) || !d.byAll.Allow() {
		p := &problem.Problem{Code: schema.CodeRateLimited, After: 10 * time.Second, Visitor: true, Unread: true, Detail: "Too many reports are arriving. Try again in a moment."}
		p.Write(w, r)
		return
	}
	form, ok := formOf(w, r, mostReport)
	if !ok {
		d.show(w, http.StatusBadRequest, report{Wrong: "The report is too long, or was not sent by this form."})
		return
	}
	said := report{URL: strings.TrimSpace(form.Get("url")), Text: strings.TrimSpace(form.Get("text")), Contact: strings.TrimSpace(form.Get("contact"))}
	label := d.labelOf(said.URL)
	switch {
	case len(said.URL) > mostSaid || len(said.Text) > mostSaid || len(said.Contact) > mostSaid:
		said.Wrong = "Each field takes at most " + strconv.Itoa(mostSaid) + " bytes."
	case label == "":
		said.Wrong = "Enter the URL of a page below " + d.Public.String() + ", or at a domain that leads to one, as your browser shows it."
	case said.Text == "":
		said.Wrong = "Say what is wrong with the page."
	}
	if said.Wrong != "" {
		d.show(w, http.StatusBadRequest, said)
		return
	}
	for _, log := range d.Logs {
		log.Note(audit.Entry{Event: audit.AbuseReported, Label: label, Address: audit.Address(from), URL: said.URL, Text: said.Text, Contact: said.Contact})
	}
	d.Log.Warn("abuse reported", "label", label, "url", said.URL[:min(len(said.URL), mostLogged)], "text", said.Text[:min(len(said.Text), mostLogged)], "do", "look at the page; to take it down, run reversehttp admin takedown "+label)
	d.show(w, http.StatusOK, report{Done: true})
}

// labelOf returns the label of a public URL, of a URL at a claim's own domain, or of an authority,
// and "" for anything else. The log repeats it in a command, so it must be valid as a label.
func (d *Desk) labelOf(said string) string {
	if !strings.Contains(said, "://") {
		said = d.Public.Scheme + "://" + said
	}
	u, err := url.Parse(said)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	where, label, _ := d.Locate(u.Host, u.RequestURI(), false)
	if where == publicurl.Control || !claim.ValidLabel(label) {
		return ""
	}
	return label
}

// show answers with the page.
func (d *Desk) show(w http.ResponseWriter, status int, v report) { answer(w, status, abuse, v) }

var abuse = template.Must(template.New("abuse").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Report a page</title>
<style>` + style + `</style>
<main>
{{if .Done}}<h1>Thank you</h1>
<p>The operator of this gateway has your report, and takes down pages that harm people.</p>
<p><a href="/abuse">Report another page</a></p>
{{else}}<h1>Report a page</h1>
<p>Others make the pages at this gateway. Report a page that pretends to be somebody else, asks for passwords, spreads malware or harms people in another way.</p>
{{with .Wrong}}<p role="alert"><strong>{{.}}</strong></p>
{{end}}<form method="post" action="/abuse">
<label for="url">URL of the page</label>
<input id="url" name="url" value="{{.URL}}" maxlength="4096" required autocomplete="off">
<label for="text">What is wrong with it</label>
<textarea id="text" name="text" rows="5" maxlength="4000" required>{{.Text}}</textarea>
<label for="contact">How to reach you, if you like</label>
<input id="contact" name="contact" value="{{.Contact}}" maxlength="200" autocomplete="email">
<p><button>Send the report</button></p>
</form>
<p class="small">Your IP address is stored with the report.</p>
{{end}}</main>
`))
