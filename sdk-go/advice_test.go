package reversehttp_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

func TestAnErrorOfClaimSaysWhatToDo(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	private := httptest.NewUnstartedServer(http.NotFoundHandler())
	private.Config.ErrorLog = log.New(io.Discard, "", 0)
	private.StartTLS()
	defer private.Close()
	var refused *reversehttp.Error
	for _, c := range []struct {
		url, want string
		is        func(error) bool
	}{
		{other.URL, "no ReverseHttp gateway answers at " + other.URL + " (404 unexpected); is the URL right?", func(err error) bool { return errors.As(err, &refused) && refused.Status == 404 }},
		{private.URL, "signed by nobody whom this machine trusts", func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }},
		{gone.URL, "nothing listens at " + gone.URL, func(error) bool { return true }},
		{"http://nobody.invalid", "there is no host nobody.invalid", func(err error) bool { return errors.As(err, new(*net.DNSError)) }},
		{refusing(t, 403, "label_taken", ""), "403 label_taken: Because. Set Options.Label to another one, or Options.Token to", func(err error) bool { return errors.Is(err, reversehttp.ErrLabelTaken) }},
		{refusing(t, 401, "key_needed", ""), "401 key_needed: Because. Set Options.Key.", func(err error) bool { return errors.Is(err, reversehttp.ErrKeyNeeded) }},
		{refusing(t, 429, "quota_exceeded", "30"), "429 quota_exceeded: Because. Try again in 30s.", func(err error) bool { return errors.As(err, &refused) && refused.RetryAfter == 30*time.Second }},
		{refusing(t, 451, "taken_down", ""), "451 taken_down: Because.", func(err error) bool { return errors.As(err, &refused) && refused.Code == "taken_down" }},
	} {
		_, err := reversehttp.Claim(t.Context(), c.url, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "reversehttp: claim: ") || !strings.Contains(err.Error(), c.want) || !c.is(err) {
			t.Errorf("Claim at %s: %v, want %q", c.url, err, c.want)
		}
	}
}

// refusing returns the URL of a gateway that refuses every request.
func refusing(t *testing.T, status int, code, retryAfter string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"title":"","status":%d,"code":%q,"detail":"Because."}`, status, code)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestASilentGatewayIsNamed(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := reversehttp.Claim(ctx, silent.URL, nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the gateway at "+silent.URL+" does not answer in time") {
		t.Errorf("error = %v", err)
	}
}
