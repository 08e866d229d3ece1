// Package problem defines the errors of a gateway: every code of schema/README.md, section 8, with
// its status and words, and answers requests with them as problem+json (RFC 9457).
package problem

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/quota"
	"reversehttp/server/wire"
)

// kind is what belongs to a code of schema/README.md, section 8.
type kind struct {
	status int
	// proxyError is the error type (RFC 9209, 2.3) for visitors.
	proxyError string
	// retryAfter is the Retry-After field in seconds; 0 means none.
	retryAfter int
	detail     string
}

var kinds = map[schema.Code]kind{
	schema.CodeNoClaim:              {404, "destination_not_found", 0, "Nobody claims this label. If it is yours, start its program."},
	schema.CodeNoHandler:            {503, "destination_unavailable", 5, "The program behind this URL is not there now. Try again soon."},
	schema.CodeQueueFull:            {503, "connection_limit_reached", 1, "Too many requests wait for the program behind this URL. Try again soon."},
	schema.CodeDraining:             {503, "destination_unavailable", 1, "The gateway is stopping. Try again soon."},
	schema.CodeHandlerTimeout:       {504, "http_response_timeout", 0, "The program behind this URL did not answer in time."},
	schema.CodeHandlerFailed:        {502, "http_response_incomplete", 0, "The program behind this URL gave up the request."},
	schema.CodeSessionLost:          {502, "connection_terminated", 0, "The program behind this URL was lost while it had the request, which may have taken effect."},
	schema.CodeBadRequest:           {400, "http_request_error", 0, "The request is malformed."},
	schema.CodeTooSlow:              {408, "http_request_error", 0, "The content arrived too slowly."},
	schema.CodeContentTooLarge:      {413, "http_request_error", 0, "The content is larger than this gateway accepts."},
	schema.CodeTargetTooLong:        {414, "http_request_error", 0, "The request target is longer than this gateway accepts."},
	schema.CodeFieldsTooLarge:       {431, "http_request_error", 0, "The fields are larger than this gateway accepts."},
	schema.CodeRateLimited:          {429, "http_request_denied", 1, "Too many requests. Try again later."},
	schema.CodeQuotaExceeded:        {429, "http_request_denied", 30, "A bound of this gateway is reached. Try again later."},
	schema.CodeWrongHost:            {421, "http_request_error", 0, "This host does not belong to this gateway. Use the URLs that the gateway returns."},
	schema.CodeLoop:                 {508, "proxy_loop_detected", 0, "The request has already passed this claim: its handler sends requests back to it."},
	schema.CodeTakenDown:            {451, "http_request_denied", 0, "The operator of this gateway withdrew this label."},
	schema.CodeServiceWorkerRefused: {403, "http_request_denied", 0, "Claims of this gateway share an origin, so none may install a service worker."},
	schema.CodeBadJSON:              {400, "", 0, "The content is not one JSON object."},
	schema.CodeBadLabel:             {400, "", 0, "A label is 1 to 63 lower-case letters, digits and hyphens, with no hyphen at an end nor at both third and fourth place."},
	schema.CodeBadToken:             {400, "", 0, "A token is 1 to 256 letters, digits and -._~+/= characters."},
	schema.CodeBadLease:             {400, "", 0, "A lease is a whole number of seconds from 1 to 86400."},
	schema.CodeBadMember:            {400, "", 0, "A member of the content has a value that this request does not accept."},
	schema.CodeBadCursor:            {400, "", 0, "This session never got that cursor. Send the cursor of its last batch, or none."},
	schema.CodeKeyNeeded:            {401, "", 0, "Only holders of a key may claim at this gateway. Send the key as Authorization: Bearer <key>."},
	schema.CodeKeyWrong:             {403, "", 0, "This is not a key of this gateway."},
	schema.CodeTokenNeeded:          {401, "", 0, "Show the token of the claim as Authorization: Bearer <token>."},
	schema.CodeTokenWrong:           {403, "", 0, "This is not the token of the claim."},
	schema.CodeLabelTaken:           {403, "", 0, "The label is taken. Choose another, or show the token that owns it."},
	schema.CodeLabelReserved:        {403, "", 0, "This gateway reserves the label for itself, or for a token that you did not show. Choose another."},
	schema.CodeNoSession:            {404, "", 0, "There is no such session. Claim again with the token."},
	schema.CodeNoExchange:           {404, "", 0, "This session has no such open exchange, or its content cannot be fetched."},
	schema.CodeContentTaken:         {409, "", 0, "The content was already fetched. It can be fetched once."},
	schema.CodeSessionFenced:        {409, "", 0, "The session was considered lost and its requests moved to others. Claim again with the token."},
	schema.CodeClaimDeleted:         {410, "", 0, "The owner deleted the claim."},
	schema.CodeLeaseEnded:           {410, "", 0, "Nobody polled for the length of the lease. Claim again with the token."},
	schema.CodeNotFound:             {404, "", 0, "There is nothing at this path of the gateway. GET /.well-known/reversehttp returns its URLs."},
	schema.CodeMethodNotAllowed:     {405, "", 0, "This resource does not support that method; see Allow."},
	schema.CodeNotAcceptable:        {406, "", 0, "A poll answers in application/json, application/x-ndjson, text/event-stream or application/vnd.reversehttp."},
	schema.CodeBadAnswer:            {400, "", 0, "The content is not an HTTP response message."},
	schema.CodeUpgradeNeeded:        {426, "http_request_error", 0, "Request an upgrade of the connection here, with the fields Connection: Upgrade and Upgrade."},
	schema.CodeWrongOrigin:          {403, "", 0, "The token does not own this origin. Name public origins of this gateway that it owns."},
	schema.CodeUnavailable:          {503, "", 5, "The gateway cannot store that now, so nothing was changed. Try again soon."},
	schema.CodeRecordingCut:         {409, "", 0, "Only the beginning of the request's content was recorded. Send other content with the replay."},
	schema.CodeAddressRefused:       {403, "http_request_denied", 0, "The owner of this URL does not let in your address."},
	schema.CodeMethodRefused:        {405, "http_request_denied", 0, "The owner of this URL accepts only other methods; see Allow."},
	schema.CodePathRefused:          {404, "http_request_denied", 0, "The owner of this URL accepts only requests for other paths."},
	schema.CodeCredentialsNeeded:    {401, "http_request_denied", 0, "The owner of this URL lets in only those who log in; see WWW-Authenticate."},
	schema.CodeCredentialsWrong:     {401, "http_request_denied", 0, "The owner of this URL does not accept these credentials."},
	schema.CodeSignatureWrong:       {401, "http_request_denied", 0, "The owner of this URL accepts only webhooks that are signed with their secret."},
	schema.CodeWebhookRunning:       {409, "http_request_denied", 0, "The same webhook is being handled now. Send it again later."},
	schema.CodeShareNeeded:          {403, "http_request_denied", 0, "The owner of this URL lets in only those to whom they sent a link. Ask them for one."},
	schema.CodeShareEnded:           {410, "http_request_denied", 0, "This link was used, or has expired. Ask the owner of this URL for another."},
	schema.CodeOriginRefused:        {403, "", 0, "This gateway accepts requests only from pages of this machine. Its flag --allow-origin lists others."},
	schema.CodeUnsupportedMediaType: {415, "", 0, "Send JSON, with Content-Type: application/json; answers may be application/vnd.reversehttp."},
}

// codes maps the errors of the core to codes.
var codes = []struct {
	err  error
	code schema.Code
}{
	{claim.ErrNoClaim, schema.CodeNoClaim}, {claim.ErrNoHandler, schema.CodeNoHandler},
	{claim.ErrQueueFull, schema.CodeQueueFull}, {claim.ErrUpgrades, schema.CodeQueueFull}, {claim.ErrDraining, schema.CodeDraining},
	{claim.ErrHandlerTimeout, schema.CodeHandlerTimeout}, {claim.ErrHandlerFailed, schema.CodeHandlerFailed},
	{claim.ErrSessionLost, schema.CodeSessionLost}, {claim.ErrTooSlow, schema.CodeTooSlow}, {claim.ErrBadCursor, schema.CodeBadCursor}, {claim.ErrSpent, schema.CodeBadCursor},
	{claim.ErrBadLabel, schema.CodeBadLabel}, {claim.ErrBadToken, schema.CodeBadToken}, {claim.ErrWeakToken, schema.CodeBadToken},
	{claim.ErrLabelTaken, schema.CodeLabelTaken}, {claim.ErrLabelReserved, schema.CodeLabelReserved}, {claim.ErrTooManyClaims, schema.CodeQuotaExceeded},
	{quota.ErrUnkept, schema.CodeQueueFull},
	{claim.ErrLabelKept, schema.CodeLabelTaken},
	{claim.ErrTooManyOpen, schema.CodeQuotaExceeded}, {claim.ErrAddressClaims, schema.CodeQuotaExceeded}, {claim.ErrNoRoom, schema.CodeQueueFull}, {claim.ErrNoSession, schema.CodeNoSession},
	{claim.ErrNoExchange, schema.CodeNoExchange}, {claim.ErrTaken, schema.CodeContentTaken}, {claim.ErrNotAnswering, schema.CodeBadMember},
	{claim.ErrSessionFenced, schema.CodeSessionFenced}, {claim.ErrClaimDeleted, schema.CodeClaimDeleted},
	{claim.ErrLeaseEnded, schema.CodeLeaseEnded}, {claim.ErrUnavailable, schema.CodeUnavailable}, {claim.ErrTakenDown, schema.CodeTakenDown}, {claim.ErrMoved, schema.CodeDraining},
}

// Problem is the error with which a request is answered. Its Code is one of package schema; the
// zero value has none and cannot be written.
type Problem struct {
	// Code is the error for programs.
	Code schema.Code
	// Detail is the error for people. Empty means the detail of the code.
	Detail string
	// Pointer says where the content is wrong (RFC 6901). Empty means no place.
	Pointer string
	// Quota says which quota is used up. Nil means none.
	Quota *schema.QuotaName
	// After is how long to wait before a retry. Zero means the time of the code.
	After time.Duration
	// Unread says that the content of the request was not read to its end.
	Unread bool
	// Visitor says that the problem answers a visitor, who also gets Proxy-Status (RFC 9209).
	Visitor bool
	// Handed says whether a handler received the visitor's request.
	Handed claim.Handed
	// Fields go with it, those of a name in place of what the code comes with. Nil means none.
	Fields []claim.Field
}

// New returns a problem with its own detail; empty means the detail of the code.
func New(code schema.Code, detail string) *Problem { return &Problem{Code: code, Detail: detail} }

// Status returns the HTTP status of a code, or 0 if there is no such code.
func Status(code schema.Code) int { return kinds[code].status }

// Detail returns the detail of a code.
func Detail(code schema.Code) string { return kinds[code].detail }

// CodeOf returns the code that the visitor got if an exchange ended with err; empty if err is nil
// or the visitor left.
func CodeOf(err error) schema.Code {
	if err == nil || errors.Is(err, claim.ErrVisitorGone) {
		return ""
	}
	return Of(err).Code
}

// RetryAfter returns how long to wait before a retry; 0 if unknown.
func (p *Problem) RetryAfter() time.Duration {
	if p.After > 0 {
		return p.After
	}
	return time.Duration(kinds[p.Code].retryAfter) * time.Second
}

// Error returns the code.
func (p *Problem) Error() string { return string(p.Code) }

// mostRepeated bounds a stranger's words in a detail, in characters.
const mostRepeated = 64

// Repeated returns a stranger's words for a detail: escaped, and cut if they are long.
func Repeated(s string) string {
	q := fmt.Sprintf("%.*q", mostRepeated, s)
	if utf8.RuneCountInString(s) > mostRepeated {
		q += "…"
	}
	return q
}

// BadLabel returns the problem of a label that is not valid.
func BadLabel(label string) *Problem {
	return &Problem{Code: schema.CodeBadLabel, Detail: Repeated(label) + " cannot be a label. " + kinds[schema.CodeBadLabel].detail}
}

// Of returns the problem for an error of package claim, or err itself if it is a [*Problem]. It
// panics on any other error.
func Of(err error) *Problem {
	p, ok := errors.AsType[*Problem](err)
	if !ok {
		p = &Problem{}
	}
	if e, ok := errors.AsType[*quota.Exceeded](err); ok {
		p.Code, p.After, p.Quota = schema.CodeQuotaExceeded, e.After, quotaOf(string(e.Of), e.Kind)
		p.Detail = "The " + string(e.Of) + " has used up its quota: " + e.Kind.String() + ". Try again when Retry-After is over."
	}
	if f, ok := errors.AsType[*claim.Failure](err); ok {
		p.Visitor, p.Handed = true, f.Handed
	}
	if p.Code != "" {
		return p
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			p.Code = c.code
			switch c.err {
			case claim.ErrTooManyClaims:
				p.Quota = quotaOf("gateway", quota.Claims)
			case claim.ErrTooManyOpen:
				p.Quota = quotaOf("label", quota.Sessions)
			case claim.ErrWeakToken:
				p.Detail = "A token that you choose has " + strconv.Itoa(claim.ShortestToken) + " characters or more here, so that nobody guesses it. Choose a longer one, or leave it out to be given one."
			case claim.ErrLabelKept:
				p.Detail = "The label was released, and is kept for its former owner: visitors and their browsers still know it. Choose another, or show the token that it had last."
			case claim.ErrAddressClaims:
				p.Quota = quotaOf("address", quota.Claims)
				p.Detail = "Your address has as many labels as it may. Give one up, by DELETE of its claim or by not polling it, or use one that you have with its token."
			}
			return p
		}
	}
	panic("problem: no code for " + err.Error())
}

// quotaOf names a quota.
func quotaOf(whose string, k quota.Kind) *schema.QuotaName {
	return &schema.QuotaName{Of: whose, Name: k.String()}
}

// Write answers r with the problem, unless r is for a claim that another node keeps by now; see
// [wire.Moves]. It links to the guide of the gateway if r came to one of its ports; see [Guide.In].
func (p *Problem) Write(w http.ResponseWriter, r *http.Request) {
	k, ok := kinds[p.Code]
	if !ok {
		panic("problem: unknown code " + string(p.Code))
	}
	if p.ofHome() && wire.Moves(w) {
		return
	}
	if p.Detail == "" {
		p.Detail = k.detail
	}
	wire.BoundWrite(w, 0)
	if p.Unread {
		defer wire.Leaving(w, r)()
	}
	guide := guideOf(r)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if after := p.RetryAfter(); after > 0 {
		h.Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	if k.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="reversehttp"`)
	}
	for _, f := range p.Fields {
		h.Del(f.Name)
	}
	for _, f := range p.Fields {
		h.Add(f.Name, f.Value)
	}
	if p.Visitor {
		handed := p.Handed
		if handed == claim.HandedNo && maybeHanded(r) {
			handed = claim.HandedUnknown
		}
		h.Set("Proxy-Status", "reversehttp; error="+k.proxyError+handedParameter(handed))
	}
	var content bytes.Buffer
	if p.Visitor && prefersHTML(r) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		h.Set("X-Content-Type-Options", "nosniff")
		title, again := http.StatusText(k.status), 0
		if p.Code == schema.CodeNoHandler {
			title = "Not there now"
		}
		if p.mayReload(r) {
			again = k.retryAfter
			h.Set("Refresh", strconv.Itoa(again))
		}
		_ = page.Execute(&content, map[string]any{"Status": k.status, "Title": title, "Code": p.Code, "Detail": visible(p.Detail), "Again": again, "Guide": guide.typeOf(p.Code)})
		p.send(w, k.status, content.Bytes())
		return
	}
	h.Set("Content-Type", "application/problem+json")
	e := json.NewEncoder(&content)
	e.SetEscapeHTML(false) // nobody reads problem+json as HTML
	_ = e.Encode(p.Body(guide))
	p.send(w, k.status, content.Bytes())
}

// ofHome reports whether another node, as the home of the claim, may answer otherwise.
func (p *Problem) ofHome() bool {
	switch p.Code {
	case schema.CodeNoClaim, schema.CodeNoSession, schema.CodeNoHandler, schema.CodeDraining, schema.CodeLabelTaken:
		return true
	}
	return false
}

type maybeHandedKey struct{}

// MaybeHanded returns a context for a request that a handler may have had before: no problem says then
// that no handler had it.
func MaybeHanded(ctx context.Context) context.Context {
	return context.WithValue(ctx, maybeHandedKey{}, true)
}

func maybeHanded(r *http.Request) bool { return r.Context().Value(maybeHandedKey{}) != nil }

// Body returns the problem as its JSON object, with a link to the guide.
func (p *Problem) Body(guide *Guide) schema.Problem {
	k := kinds[p.Code]
	body := schema.Problem{Type: guide.typeOf(p.Code), Title: http.StatusText(k.status), Status: k.status, Code: p.Code, Detail: cmp.Or(p.Detail, k.detail)}
	if p.Pointer != "" {
		body.Pointer = &p.Pointer
	}
	body.Quota = p.Quota
	return body
}

// send states the length of the content, so that it is complete for a visitor to whom the gateway
// still listens for a while.
func (p *Problem) send(w http.ResponseWriter, status int, content []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(status)
	_, _ = w.Write(content)
}

func handedParameter(h claim.Handed) string {
	switch h {
	case claim.HandedNo:
		return "; handed=?0"
	case claim.HandedYes:
		return "; handed=?1"
	}
	return ""
}

// prefersHTML reports whether a request accepts HTML and no form of JSON, as a browser's navigation
// does.
func prefersHTML(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header["Accept"], ","))
	return strings.Contains(accept, "text/html") && !strings.Contains(accept, "json")
}

// mayReload reports whether the page of a problem may reload itself: the program may come at any
// moment, and the request is a safe navigation.
func (p *Problem) mayReload(r *http.Request) bool {
	if p.Code != schema.CodeNoHandler || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "", "document", "iframe", "frame":
		return true
	}
	return false
}

var page = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}}</title>
<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}code{opacity:.7}</style>
<main>
<h1>{{.Title}}</h1>
<p>{{.Detail}}</p>
{{with .Again}}<p>This page tries again every {{.}} seconds while it is open. <a href="">Try now</a></p>
{{end}}<p><code>{{.Status}} {{.Code}}</code>{{with .Guide}} <a href="{{.}}">What this means</a>{{end}}</p>
</main>
`))
