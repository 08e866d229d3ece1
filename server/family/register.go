package family

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// register answers POST {access point}, which claims a name.
func (d *reverseHTTP) register(w http.ResponseWriter, r *http.Request) {
	form, err := d.formOf(w, r)
	if err == nil {
		err = d.mayUse(form.token)
	}
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	o, err := d.g.EnterWith(r, claim.Place{Door: reverseHTTPName}, form.name, form.token, claim.Settings{Lease: form.lease})
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	status := http.StatusNoContent
	if o.Created {
		status = http.StatusCreated
	}
	d.urls().tell(w, form.name, o.Token, d.urls().request(form.name, o.Token, o.Session.ID(), o.Cursor))
	w.WriteHeader(status)
}

// form is what a program asks for a claim. A nil lease means that it asks for none.
type form struct {
	name, token string
	lease       *time.Duration
}

// mostForm bounds a form, in bytes.
const mostForm = 16 << 10

// formOf parses the form of a request from its content and its query.
func (d *reverseHTTP) formOf(w http.ResponseWriter, r *http.Request) (f form, err error) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if media != "" && media != "application/x-www-form-urlencoded" {
		return f, problem.New(schema.CodeUnsupportedMediaType, "Send the form as application/x-www-form-urlencoded.")
	}
	content, err := d.g.ReadContent(w, r, mostForm)
	if err != nil {
		return f, err
	}
	said, err := url.ParseQuery(strings.TrimSpace(string(content)))
	query, queryErr := url.ParseQuery(r.URL.RawQuery)
	if err != nil || queryErr != nil {
		return f, problem.New(schema.CodeBadMember, "The form is malformed: send application/x-www-form-urlencoded.")
	}
	for name, values := range query {
		said[name] = append(said[name], values...)
	}
	f.name, f.token = strings.ToLower(said.Get("name")), said.Get("token")
	if f.token != "" && !claim.ValidToken(f.token) {
		return f, claim.ErrBadToken
	}
	if values, ok := said["lease"]; ok {
		f.lease, err = leaseOf(strings.TrimSpace(values[0]))
	}
	return f, err
}

// leaseOf parses a number of seconds. A lease out of bounds becomes the shortest or longest one.
func leaseOf(text string) (*time.Duration, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if e, ok := err.(*strconv.NumError); ok && e.Err != strconv.ErrRange {
		return nil, problem.New(schema.CodeBadLease, "A lease is a whole number of seconds.")
	}
	lease := time.Duration(min(max(n, int64(terms.ShortestLease/time.Second)), int64(terms.LongestLease/time.Second))) * time.Second
	return &lease, nil
}

// owned returns the claim of a private URL, and the place in that URL.
func (d *reverseHTTP) owned(r *http.Request) (*claim.Claim, place, error) {
	at, err := d.placeOf(r)
	if err != nil {
		return nil, at, err
	}
	c := d.g.Registry.Lookup(at.label)
	if c == nil {
		return nil, at, claim.ErrNoClaim
	}
	owns := c.Owns(at.token)
	if p := d.g.Admission.Shown(d.g.Admission.From(r), owns); p != nil {
		return nil, at, p
	}
	if !owns {
		return nil, at, problem.New(schema.CodeTokenWrong, "")
	}
	return c, at, nil
}

// state answers GET {private URL}.
func (d *reverseHTTP) state(w http.ResponseWriter, r *http.Request) {
	c, at, err := d.owned(r)
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	st := c.State()
	d.show(w, r, claimPage, url.Values{
		"name": {at.label}, "lease": {strconv.Itoa(int(st.Lease / time.Second))}, "url": {d.g.Public.Base(at.label)},
		"sessions": {strconv.Itoa(len(st.Sessions))}, "queue": {strconv.Itoa(st.Queue)},
	})
}

// change answers PUT {private URL}.
func (d *reverseHTTP) change(w http.ResponseWriter, r *http.Request) {
	c, at, err := d.owned(r)
	var f form
	if err == nil {
		f, err = d.formOf(w, r)
	}
	if err == nil {
		err = d.mayUse(f.token)
	}
	if err == nil {
		set := claim.Settings{Lease: f.lease, By: d.g.Admission.Trust.Address(r)}
		if f.token != "" {
			at.token, set.Token = f.token, &f.token
		}
		err = c.Change(set)
	}
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	d.urls().tell(w, at.label, at.token, d.urls().fresh(at.label, at.token))
	w.WriteHeader(http.StatusNoContent)
}

// remove answers DELETE {private URL}.
func (d *reverseHTTP) remove(w http.ResponseWriter, r *http.Request) {
	c, _, err := d.owned(r)
	if err == nil {
		err = c.Delete(d.g.Admission.Trust.Address(r))
	}
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// mostNames bounds the names that are shown.
const mostNames = 10_000

// service answers GET {access point} with counts, and for holders of a key with the names.
func (d *reverseHTTP) service(w http.ResponseWriter, r *http.Request) {
	st := d.g.Registry.Stats()
	facts := url.Values{"claims": {strconv.Itoa(st.Claims)}, "sessions": {strconv.Itoa(st.Sessions)}}
	if d.g.Admission.HoldsKey(r) {
		facts["name"] = d.g.Registry.Labels(mostNames)
	}
	d.show(w, r, servicePage, facts)
}

// show answers with facts as form data, or as a page for a browser.
func (d *reverseHTTP) show(w http.ResponseWriter, r *http.Request, page *template.Template, facts url.Values) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the URL may contain the token
	if !accepts(r, "text/html") {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		_, _ = w.Write([]byte(facts.Encode()))
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	_ = page.Execute(w, facts)
}

const pageHead = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ReverseHttp</title>
<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:10vh auto;padding:0 1rem}label{display:block}</style>
`

var (
	claimPage = template.Must(template.New("claim").Parse(pageHead + `<h1>{{.Get "name"}}</h1>
<p><a href="{{.Get "url"}}">{{.Get "url"}}</a></p>
<p>Lease {{.Get "lease"}} s, {{.Get "sessions"}} sessions, {{.Get "queue"}} requests waiting.</p>
`))
	servicePage = template.Must(template.New("service").Parse(pageHead + `<h1>ReverseHttp</h1>
<p>{{.Get "claims"}} names, {{.Get "sessions"}} sessions.</p>
{{with .name}}<ul>{{range .}}<li>{{.}}{{end}}</ul>
{{end}}<form method="post" action="/reversehttp">
<label>Name <input name="name" required></label>
<label>Token <input name="token"></label>
<label>Lease in seconds <input name="lease" inputmode="numeric"></label>
<button>Register</button>
</form>
`))
)
