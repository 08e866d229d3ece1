package reversehttp

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"reversehttp/schema"
	"reversehttp/sdk-go/internal/origins"
)

// Error is a refusal by the gateway. Use errors.As to get it, and errors.Is to compare it with the
// errors below.
type Error struct {
	// Status is the status code of the answer.
	Status int
	// Code names the kind of the error; schema/README.md, section 8, lists them. It is "unexpected"
	// for an answer that no gateway of this protocol sends, such as one of a captive portal or a
	// proxy's error page.
	Code schema.Code
	// Detail is for people.
	Detail string
	// RetryAfter is how long the gateway asks to wait; zero if it does not say.
	RetryAfter time.Duration
}

// Error returns status, code and detail as text.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Status != 0 {
		text = strconv.Itoa(e.Status) + " " + text
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Is reports whether target is an Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errors to compare with errors.Is. Claim returns the first four; Serve may return any of them.
var (
	// ErrLabelReserved: the gateway keeps the label for itself, or for somebody else.
	ErrLabelReserved error = &Error{Code: schema.CodeLabelReserved}
	// ErrLabelTaken: somebody else owns the label.
	ErrLabelTaken error = &Error{Code: schema.CodeLabelTaken}
	// ErrKeyNeeded: this gateway lends labels only to holders of a key.
	ErrKeyNeeded error = &Error{Code: schema.CodeKeyNeeded}
	// ErrKeyWrong: the gateway does not know this key.
	ErrKeyWrong error = &Error{Code: schema.CodeKeyWrong}
	// ErrTokenWrong: the claim now has another token.
	ErrTokenWrong error = &Error{Code: schema.CodeTokenWrong}
	// ErrClaimDeleted: an owner of the claim gave it up.
	ErrClaimDeleted error = &Error{Code: schema.CodeClaimDeleted}
)

// ErrClosed is what Serve returns after Close, Shutdown or Delete.
var ErrClosed = errors.New("reversehttp: session closed")

const codeUnexpected schema.Code = "unexpected"

// refusal returns the Error for an answer that is not a success.
func refusal(status int, header http.Header, content []byte) *Error {
	e := &Error{Status: status, Code: codeUnexpected, RetryAfter: retryAfter(header.Get("Retry-After"))}
	var p schema.Problem
	if json.Unmarshal(content, &p) == nil && p.Code != "" {
		e.Code, e.Detail = p.Code, p.Detail
	} else if to := origins.Redirect(status, header); to != "" {
		e.Detail = to
	}
	return e
}

// retryAfter parses Retry-After (RFC 9110, 10.2.3): seconds or a date.
func retryAfter(value string) time.Duration {
	if n, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(min(n, int(askedMost/time.Second)))*time.Second)
	}
	if t, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(t)), askedMost)
	}
	return 0
}
