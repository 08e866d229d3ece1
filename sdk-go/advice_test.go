package reversehttp_test

import (
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
	} {
		_, err := reversehttp.Claim(t.Context(), c.url, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "reversehttp: claim: ") || !strings.Contains(err.Error(), c.want) || !c.is(err) {
			t.Errorf("Claim at %s: %v, want %q", c.url, err, c.want)
		}
	}
}
